"""What the oms decides: what becomes of an order (`order`), and of the accounts it is for (`book`)."""
