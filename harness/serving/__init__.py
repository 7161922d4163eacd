"""`mpiolab serve`, `status` and `ctl`: the array as a service on a real machine."""
