"""Live feeds: the machinery that every venue shares. What differs from venue to venue is in `feeds/venues`."""
