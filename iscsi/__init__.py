"""The iSCSI protocol as pure functions of bytes and state: no clock, no sockets, no randomness.

Everything here follows RFC 7143 (iSCSI, consolidated). The same tables serve the target and the initiator, so that
the two sides cannot come to disagree about a rule.
"""
