"""The images: found, verified, loaded, split."""

from fmnist.data.dataset import Dataset, draw_fewer, draw_split, load_data, user_cache
from fmnist.data.spec import CLASS_NAMES, DATASET
