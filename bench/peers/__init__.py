"""The contestants: one file each, found by name and imported only when asked for."""

from importlib import import_module

from bench.peers.base import Peer

# name in the tables -> (module, class); fastnn is the one the others are measured against.
PEERS = {
    "fastnn": ("with_fastnn", "FastnnPeer"),
    "numpy": ("with_numpy", "NumpyPeer"),
    "numba": ("with_numba", "NumbaPeer"),
    "jax": ("with_jax", "JaxPeer"),
    "torch": ("with_torch", "TorchPeer"),
    "sklearn": ("with_sklearn", "SklearnPeer"),
    "sklearn rows": ("with_sklearn", "SklearnRowsPeer"),
}


def peer_class(name: str) -> type[Peer]:
    """Import one contestant; ModuleNotFoundError if its library is not installed."""
    module, attribute = PEERS[name]
    return getattr(import_module(f"bench.peers.{module}"), attribute)
