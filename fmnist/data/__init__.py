"""The images: found, verified, loaded, split."""

from fmnist.data.dataset import CLASS_NAMES, Dataset, Split, draw_split, load_data
from fmnist.data.directories import user_cache
