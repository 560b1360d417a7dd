"""Marks the acceptance tests of what isn't built yet as expected failures; one that passes is an error.

A name leaves the list below in the commit that makes its test pass.
"""

import pytest

ENTITIES = """
    test_account test_account_survives_a_restart test_arguments_and_results_are_not_shared
    test_call_chain_back_to_a_held_key_is_a_deadlock_error test_call_with_an_idempotency_key_is_applied_once
    test_calls_run_in_the_order_of_issue test_chat_room test_constructor_values_do_not_come_back test_counter
    test_customer_profile test_delete test_document_cache test_entities_in_workflows test_entity_keys
    test_entity_method_killed_after_an_explicit_save test_entity_method_killed_between_its_service_calls
    test_entity_method_killed_halfway test_explicit_runtime test_game_session
    test_handle_shows_its_last_round_trip test_idle_entities_leave_memory_but_keep_their_state
    test_instance_of_a_failed_call_is_detached test_keep_state_on_error test_keys_out_of_bounds
    test_keys_run_in_parallel test_keys_that_wait_on_each_other_are_a_deadlock_error test_large_data_processor
    test_lock_over_two_keys test_lock_survives_kill test_method_invocation test_method_that_raises_commits_nothing
    test_migrates_upgrades_an_older_state test_msgspec_structs test_multiplayer_game
    test_new_fields_take_their_defaults test_object test_objects test_one_writer_per_key test_persistent_state
    test_queries_read_the_last_committed_state test_relationships test_saves_that_the_code_no_longer_makes_fail_the_call
    test_schedule_by_name_and_cancel test_scheduled_method_survives_kill test_serialized_access
    test_serialized_access_adds_up_over_restarts test_service_registration test_shopping_cart
    test_state_that_does_not_validate_is_never_overwritten test_state_types test_stream_processor
    test_with_workflows test_workflow_calls_an_entity_once test_write_in_a_query_is_an_error
""".split()  # noqa: SIM905  As a list it would be twice as long and say no more.
AGENTS = ["test_answer_of_an_agent", "test_entities_with_agents"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is on the lists."""
    for item in items:
        name = getattr(item, "originalname", item.name)
        for missing, what in ((ENTITIES, "entities"), (AGENTS, "agents")):
            if name in missing:
                item.add_marker(pytest.mark.xfail(strict=True, reason=f"{what} are not built yet"))
