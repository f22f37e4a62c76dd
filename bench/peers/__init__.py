"""The contestants: one file each, found by name and imported only when asked for."""

from importlib import import_module

from bench.peers.base import Peer

# name in the tables -> (module, class); fastnn is the one the others are measured against.
PEERS = {
    "fastnn": ("with_fastnn", "FastnnPeer"),
    "numpy": ("with_numpy", "NumpyPeer"),
    "compiled BLAS": ("with_blas", "BlasPeer"),
    "numba": ("with_numba", "NumbaPeer"),
    "jax": ("with_jax", "JaxPeer"),
    "torch": ("with_torch", "TorchPeer"),
    "torch nn": ("with_torch", "TorchModulePeer"),
    "torch fused": ("with_torch", "TorchFusedPeer"),
    "torch foreach": ("with_torch", "TorchForeachPeer"),
    "tf": ("with_tensorflow", "TensorflowPeer"),
    "tf xla": ("with_tensorflow", "XlaPeer"),
    "keras": ("with_keras", "KerasPeer"),
    "sklearn": ("with_sklearn", "SklearnPeer"),
    "sklearn rows": ("with_sklearn", "SklearnRowsPeer"),
}


def peer_class(name: str) -> type[Peer]:
    """Import one contestant; ModuleNotFoundError if its library is not installed."""
    module, attribute = PEERS[name]
    return getattr(import_module(f"bench.peers.{module}"), attribute)
