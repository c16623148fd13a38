"""What is checked before a start: packages, devices, disks, folders, servers."""
