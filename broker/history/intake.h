/* intake.h - a SubmitChunk, checked, as the core takes it.
 *
 * Everything that can be said without knowing the rest of the batch is checked here: sizes,
 * counts, descriptions, placeholders. What needs the whole (targets, cycles) is the core's. The
 * arrays live in scratch memory that the next chunk reuses: no allocation per task.
 *
 * A batch that is submitted and a dry run of it go through here, so that both are the same. */
#pragma once

#include "broker/core/core.h"
#include "proto/cashet.pb-c.h"

struct intake {
	struct core_options *options;
	struct core_function *functions;
	struct core_group *groups;
	struct core_group_range *ranges;
	struct core_task_spec *tasks;
	struct core_ref *refs;
	size_t option_room, function_room, group_room, range_room, task_room, ref_room;
};

struct intake_source {
	/** Called for each function, in order: sets hash and output_count of @to, and whether it must
	 * have a source. Return: 0; 1 if its description is malformed. */
	int (*function)(void *arg, const Cashet__Function *from, struct core_function *to,
			bool *needs_sourcep);
	void *arg;
};

/** intake_check() - @event: a CORE_EV_BATCH_CHUNK but for its batch, borrowed from @c and @in.
 * @functions_before, @options_before: of the chunks before it
 * Return: NULL, or what is malformed. */
const char *intake_check(struct intake *in, const Cashet__SubmitChunk *c,
			 uint32_t functions_before, uint32_t options_before,
			 const struct intake_source *source, struct core_event *event);
void intake_fini(struct intake *in);
/** intake_resources() - Return: 0; 1 bad, doubled or too many names. */
int intake_resources(struct core_resource *out, uint32_t *countp,
		     Cashet__Resource *const *from, size_t count);
