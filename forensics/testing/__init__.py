"""For tests, ours and strangers': tiny true checkpoints, their descendants, and the contract every probe keeps.

from forensics.testing import check_probe
def test_my_probe() -> None:
    check_probe(MyProbe())
"""

from forensics.testing.contract import check_probe
from forensics.testing.descent import descend
from forensics.testing.files import read_safetensors, write_safetensors
from forensics.testing.tiny import CLASSES, tiny_checkpoint

__all__ = ["CLASSES", "check_probe", "descend", "read_safetensors", "tiny_checkpoint", "write_safetensors"]
