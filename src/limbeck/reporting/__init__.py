"""What people read: statistics, tables, pages, plots, progress."""
