"""Use of a trained potential: errors, predictions, a calculator for ASE, simulations."""
