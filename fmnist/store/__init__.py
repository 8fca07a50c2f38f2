"""Where results are: one Parquet row a run."""

from fmnist.store.check import check_store
from fmnist.store.rows import STATUS_RANKS, RowKey, row_file, schema_of
from fmnist.store.schema import EPOCH, SCALAR_COLUMNS, SCHEMA, SEARCH_STATUSES, STATUSES
from fmnist.store.storage import Storage
from fmnist.store.store import Store
