"""The async door to the node: what every protocol asks, and the write lane behind it. Owns no socket.

A door parses its protocol into a request message, finds out who calls, and awaits one handler of ``Service``.
"""

from resolver.service.call import Call, Credential
from resolver.service.core import ServiceOptions
from resolver.service.facade import Service

__all__ = ["Call", "Credential", "Service", "ServiceOptions"]
