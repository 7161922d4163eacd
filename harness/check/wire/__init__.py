"""The PDUs of a run as they cross the host's sockets, and the rules they are held to.

Nothing here uses the codec, the numbering or the tasks of `iscsi`, `target` or `initiator_model`: a mistake there must
not hide itself. What is looked at are the bytes that the host writes and reads.
"""
