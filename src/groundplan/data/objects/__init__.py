"""The object storage port and its adapters: files that outlive a process, offered by signed, expiring URLs."""
