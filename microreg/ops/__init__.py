"""What can be differentiated. Each op maps arrays to arrays; none knows the graph."""
