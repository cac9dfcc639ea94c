"""What `convkit bench` is made of: which rows, one row's race, the record, its table and plots."""
