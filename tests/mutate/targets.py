"""Which tests are there to notice a fault in a file: the quick ones first, for the first failure ends a run."""

from __future__ import annotations

from fnmatch import fnmatch

# (files, their tests); a file takes the first row that matches it
TARGETS: tuple[tuple[str, str], ...] = (
    ("graphc/derivatives/grad.py", "test_grad test_forward test_outputs test_audit spec/test_002_004_gradient spec/test_002_004_higher"),
    ("graphc/derivatives/forward.py", "test_forward test_outputs test_audit"),
    ("graphc/derivatives/batch.py", "test_batch test_forward test_outputs"),
    ("graphc/derivatives/check_grad.py", "test_check_grad"),
    ("graphc/derivatives/user_trees.py", "test_tree test_grad test_forward"),
    ("graphc/derivatives/colours.py", "test_graphs test_patterns test_sparse_derivatives"),
    ("graphc/derivatives/patterns.py", "test_patterns test_sparse_derivatives"),
    ("graphc/derivatives/stencils.py", "test_sparse_derivatives test_patterns"),
    ("graphc/derivatives/entries.py", "test_sparse_derivatives test_patterns"),
    ("graphc/derivatives/*.py", "test_sparse_derivatives test_forward spec/test_002_004_higher test_patterns"),
    ("graphc/ops/elementwise.py", "test_elementwise test_audit test_ops test_tails"),
    ("graphc/ops/arithmetic.py", "test_elementwise test_audit test_ops"),
    ("graphc/ops/compare.py", "test_elementwise test_audit test_ops"),
    ("graphc/ops/ranges.py", "test_index_checks test_indexing"),
    ("graphc/ops/cumulate.py", "test_scans test_reductions test_signs_of_zero test_audit fuzz/test_fuzz"),
    ("graphc/ops/overlay.py", "test_joins test_rewrite test_grad test_audit"),
    ("graphc/ops/joining.py", "test_joins test_shape_ops test_audit"),
    ("graphc/ops/outputs.py", "test_outputs test_several"),
    ("graphc/ops/several.py", "test_several test_outputs"),
    ("graphc/ops/*.py", "test_audit test_shape_ops test_indexing test_reductions test_products test_create test_ops"),
    ("graphc/dims/*.py", "test_dims test_size_guards test_size_values test_shape_ops test_types"),
    ("graphc/scalars.py", "test_text test_kernels"),
    ("graphc/region.py", "test_region test_steps test_control"),
    ("graphc/control/scan_derivatives.py", "test_control_masks test_control_derivatives test_control_checkpoint"),
    ("graphc/control/residuals.py", "test_control_checkpoint test_control_derivatives"),
    ("graphc/control/*_rules.py", "test_control_masks test_control_derivatives test_control"),
    ("graphc/control/scan_batch.py", "test_control_derivatives test_control"),
    ("graphc/control/blocks.py", "test_control_checkpoint"),
    ("graphc/control/c[au]*.py", "test_custom test_callbacks_native test_callback_state"),  # callback, called, custom
    ("graphc/control/checkpoint.py", "test_custom test_control_checkpoint"),
    ("graphc/control/*.py", "test_control test_control_masks test_control_derivatives spec/test_003_loops"),
    ("graphc/pickling.py", "test_pickling test_copies"),
    ("graphc/verify/scalar_code.py", "test_scalar_code"),
    ("graphc/verify/graph.py", "test_verify test_outputs"),
    ("graphc/verify/flow.py", "test_verify_program test_steps test_memory"),
    ("graphc/verify/*.py", "test_verify_program test_prove_addresses test_program test_check_loops test_steps"),
    ("graphc/program/scalar_code.py", "test_scalar_code test_scalar_loops"),
    ("graphc/program/*.py", "test_steps test_verify_program test_program test_memory"),
    ("passes/rules/joins.py", "test_joins test_rules test_rewrite"),
    ("passes/rules/stability.py", "test_stability test_rewrite test_rules test_negative_cases"),
    ("passes/rules/*.py", "test_rewrite test_rules test_negative_cases test_prepare"),
    ("passes/rewriting/roll.py", "test_joins test_rewrite"),
    ("passes/rewriting/views.py", "test_scatter_kernels test_program test_joins"),
    ("passes/rewriting/*.py", "test_rewrite test_rules test_negative_cases test_prepare"),
    ("passes/prepare.py", "test_prepare test_rewrite test_grad"),
    ("passes/fusion/verify_clusters.py", "test_pipeline"),
    ("passes/fusion/split_reductions.py", "test_split_reductions test_reductions"),
    ("passes/fusion/stage*.py", "test_joins test_scans test_several test_program test_pipeline"),
    ("passes/fusion/several.py", "test_several test_outputs test_program"),
    ("passes/fusion/ordered_members.py", "test_scans test_several test_program"),
    ("passes/fusion/joins.py", "test_joins test_program"),
    ("passes/fusion/constant_scatters.py", "test_sparse_derivatives test_scatter_kernels test_indexing test_program"),
    ("passes/fusion/assemble.py", "test_every_producer test_program test_pipeline"),
    ("passes/fusion/*scalar*.py", "test_scalar_code test_scalar_loops test_loops_native"),
    ("passes/fusion/elements.py", "test_scalar_loops test_scalar_code test_loops_native"),
    ("passes/fusion/bodies.py", "test_nested_storage test_loops_native test_loops_in_place"),
    ("passes/fusion/control_steps.py", "test_nested_storage test_loops_native test_loops_in_place test_loops_gradients_native"),
    ("passes/fusion/in_place.py", "test_loops_in_place test_nested_storage test_loops_native"),
    ("passes/fusion/*.py", "test_pipeline test_program test_regressions test_kernels test_columns test_straight fuzz/test_fuzz"),
    ("passes/storage/cache_blocks.py", "test_block test_memory test_index_checks"),
    ("passes/storage/*.py", "test_memory test_regressions test_steps test_verify_program test_state fuzz/test_state_fuzz"),
    ("passes/loops/*.py", "test_loop_passes test_control test_control_derivatives"),
    ("passes/inline.py", "test_custom test_region test_function"),
    ("passes/*.py", "test_pipeline test_program test_memory"),
    ("codegen/loops/check_loops.py", "test_check_loops"),
    ("codegen/loops/prove_addresses.py", "test_prove_addresses"),
    ("codegen/loops/straight_line.py", "test_straight"),
    ("codegen/loops/fma.py", "test_fma test_text"),
    ("codegen/loops/*.py", "test_check_loops test_scans test_kernels test_columns test_indexing test_prove_addresses fuzz/test_fuzz"),
    ("codegen/strategy/loops.py", "test_costs test_columns test_kernels"),
    ("codegen/strategy/scalar.py", "test_scalar_loops test_scalar_code"),
    ("codegen/strategy/scatter.py", "test_scatter_kernels test_indexing"),
    ("codegen/strategy/*.py", "test_costs test_strategy test_targets test_product_tasks test_contract_kernels test_products test_kernels"),
    ("graphc/costs.py", "test_costs test_cost test_program test_block test_columns"),
    ("codegen/runtime/pool*.py", "test_threads"),
    ("codegen/runtime/parallel_loops.py", "test_strategy test_scans test_threads test_product_tasks test_split_reductions"),
    ("codegen/runtime/estimate.py", "test_costs test_steps test_strategy"),
    ("codegen/runtime/stops.py", "test_steps test_index_checks"),
    ("codegen/runtime/binding.py", "test_size_guards test_size_values test_arguments test_errors"),
    ("codegen/runtime/signals.py", "test_interrupts test_steps"),
    ("codegen/runtime/canaries.py", "test_canaries"),
    ("codegen/runtime/*.py", "test_runtime test_arguments test_state test_threads"),
    ("codegen/entry/*.py", "test_entry test_entry_threads test_arguments test_entry_reentry fuzz/test_fuzz"),
    ("codegen/llvm/accumulate.py", "test_scans test_columns test_kernels test_split_reductions"),
    ("codegen/llvm/recurrence.py", "test_scalar_code test_scalar_loops"),
    ("codegen/llvm/*.py", "test_straight test_text test_scans test_kernels test_columns"),
    ("codegen/mathlib/*.py", "test_mathlib"),
    ("codegen/control.py", "test_steps test_state"),
    ("codegen/p*.py", "test_index_checks test_steps test_state test_scans test_product_tasks"),
    ("codegen/frame.py", "test_index_checks test_steps test_state"),
    ("codegen/object_cache.py", "test_cache"),
    ("codegen/target.py", "test_targets test_text"),
    ("codegen/*.py", "test_runtime test_cache test_kernels"),
)

# the modules that a run takes its faults from, unless it is told others
DEFAULT = (
    "graphc/derivatives/*.py", "graphc/ops/ranges.py", "graphc/ops/cumulate.py", "graphc/ops/overlay.py", "graphc/dims/*.py",
    "graphc/verify/*.py", "graphc/program/*.py", "graphc/region.py", "graphc/control/*.py", "graphc/pickling.py",
    "passes/*.py",  # `*` crosses `/`
    "codegen/loops/*.py", "codegen/strategy/*.py", "codegen/runtime/pool*.py", "codegen/runtime/parallel_loops.py",
)  # fmt: skip


def tests_of(path: str, everything: list[str]) -> list[str]:
    """The test files for a file, those of `everything` that exist."""
    for pattern, names in TARGETS:
        if fnmatch(path, pattern):
            return [f for name in names.split() if (f := f"tests/{name}.py") in everything]
    return []
