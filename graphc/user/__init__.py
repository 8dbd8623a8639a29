"""What users hold in their hands: compiled functions, jit, state, declarations, arguments."""
