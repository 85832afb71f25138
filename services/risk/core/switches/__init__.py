"""What people throw: kills, trading states, blocks, permissions, releases; and the alerts that tell of it."""
