"""Runs production notebooks, each in a fresh kernel, and believes only the kernel's own proof."""

from workbench.adapters.notebook_runner.notebook_check import check_notebook
from workbench.adapters.notebook_runner.page import cells_of
from workbench.adapters.notebook_runner.runner import NotebookRunner, import_papermill
from workbench.adapters.notebook_runner.warm import WarmKernels

__all__ = ["NotebookRunner", "WarmKernels", "cells_of", "check_notebook", "import_papermill"]
