"""Searches of hyperparameters: Optuna proposes, papermill runs the notebooks, workers share one storage."""
