"""An iSCSI initiator that reads and writes single blocks: enough of RFC 7143 to be tested, and no more.

`Session` is one login, which follows redirects, and its commands. `Disk` keeps a session: when it is lost, it logs in
again and repeats what was under way. A block is 512 bytes.
"""

from toy_initiator.disk import Disk
from toy_initiator.session import CommandFailed, LoginRefused, Session

__all__ = ["CommandFailed", "Disk", "LoginRefused", "Session"]
