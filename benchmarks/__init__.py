"""Compare the speed of loads with dlt's generic source and with a lower bound."""
