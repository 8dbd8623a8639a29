"""The tables of rules. Order in a table is the order of trial; the first rule that holds is applied."""
