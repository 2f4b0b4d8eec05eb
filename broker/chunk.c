/* chunk.c - a SubmitChunk, checked, as the core takes it.
 *
 * Everything that can be said without knowing the rest of the batch is checked here: sizes,
 * counts, descriptions, placeholders. What needs the whole (targets, cycles) is the core's. The
 * arrays live in scratch memory that the next chunk reuses: no allocation per task. */
#include "broker/broker.h"

#include "common/names.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 1024
#define PAIRS_MAX 256
#define RETRIES_MAX 1000000

static struct scratch {
	struct core_options *options;
	struct core_function *functions;
	struct core_group *groups;
	struct core_group_range *ranges;
	struct core_task_spec *tasks;
	struct core_ref *refs;
	struct function_def **defs;
	size_t option_room, function_room, group_room, range_room, task_room, ref_room,
		def_room;
} scratch;

#define ROOM(array, room, count)                                                         \
	do {                                                                             \
		if ((count) > (room)) {                                                  \
			(room) = (count) + (count) / 2;                                  \
			free(array);                                                     \
			(array) = mem_alloc((room) * sizeof *(array));                   \
		}                                                                        \
	} while (0)

void chunk_scratch_free(void)
{
	free(scratch.options);
	free(scratch.functions);
	free(scratch.groups);
	free(scratch.ranges);
	free(scratch.tasks);
	free(scratch.refs);
	free(scratch.defs);
	scratch = (struct scratch){0};
}

int worker_resources(struct core_resource *out, uint32_t *countp,
		     Cashet__Resource *const *from, size_t count)
{
	if (count > CORE_RESOURCES_MAX)
		return 1;
	for (size_t i = 0; i < count; i++) {
		const char *name = from[i]->name;
		if (!names_valid(name, true) || strlen(name) >= CORE_RESOURCE_NAME)
			return 1;
		for (size_t k = 0; k < i; k++) {
			if (!strcmp(out[k].name, name))
				return 1;
		}
		memset(&out[i], 0, sizeof out[i]);
		memcpy(out[i].name, name, strlen(name));
		out[i].amount = from[i]->milli;
	}
	*countp = (uint32_t)count;
	return 0;
}

static const char *check_options(const Cashet__Options *from, struct core_options *to)
{
	memset(to, 0, sizeof *to);
	if (from->retries > RETRIES_MAX)
		return "more than 1,000,000 retries";
	if (from->cache != CASHET__OPTIONS__CACHE__USE &&
	    from->cache != CASHET__OPTIONS__CACHE__OFF &&
	    from->cache != CASHET__OPTIONS__CACHE__FORCE)
		return "an unknown cache mode";
	to->retries = from->retries;
	to->timeout_ns = from->timeout_ns;
	to->priority = from->priority;
	to->cache = (enum core_cache)from->cache;
	if (worker_resources(to->resources, &to->resource_count, from->resources,
			     from->n_resources))
		return "resources with bad, doubled or too many names (16 at most)";
	if (!to->resource_count) {
		strcpy(to->resources[0].name, "cpus");
		to->resources[0].amount = 1000;
		to->resource_count = 1;
	}
	return NULL;
}

static const char *check_function(struct broker *b, const Cashet__Function *from,
				  uint32_t options_known, struct chunk_view *view)
{
	struct core_function *to = &scratch.functions[view->def_count];
	if (from->options >= options_known)
		return "a function with an unknown number of options";
	if (from->description.len > FUNCTION_SIZE_MAX)
		return "a description of a function over 1 MiB";
	if (strlen(from->name) > NAME_MAX_BYTES || from->n_tags > PAIRS_MAX ||
	    from->n_env > PAIRS_MAX)
		return "a function's name, tags or env over their limits";
	struct function_def *def =
		function_def_get(b, from->description.data, from->description.len);
	if (!def)
		return "a malformed description of a function";
	scratch.defs[view->def_count++] = def;
	memcpy(to->hash, def->hash, DIGEST_SIZE);
	to->options = from->options;
	to->output_count = (uint32_t)def->decoded.output_count;
	return NULL;
}

static const char *check_group(const Cashet__Group *from, struct core_group *to,
			       struct core_group_range *ranges)
{
	*to = (struct core_group){.ranges = ranges,
				  .range_count = (uint32_t)from->n_ranges,
				  .skip_failed = from->skip_failed};
	for (size_t i = 0; i < from->n_ranges; i++) {
		const Cashet__GroupRange *range = from->ranges[i];
		ranges[i] = (struct core_group_range){.first = range->first,
						      .count = range->count,
						      .slot = range->slot};
		if (range->count) {
			if (range->content.len)
				return "a group's range with tasks and content";
			continue;
		}
		if (!wire_is(&range->content, CONTENT_SIZE))
			return "a group's content that is not 33 bytes";
		memcpy(&ranges[i].content, range->content.data, CONTENT_SIZE);
		if (ranges[i].content.type == CONTENT_NONE ||
		    ranges[i].content.type > CONTENT_EXTERN)
			return "a group's content of an unknown type";
	}
	return NULL;
}

/* A placeholder is a CBOR byte string of 33 bytes, zero until it is resolved. */
static bool is_placeholder(const uint8_t *args, size_t size, uint32_t offset)
{
	static const uint8_t zero[CONTENT_SIZE];
	return offset >= 2 && offset <= size && size - offset >= CONTENT_SIZE &&
	       args[offset - 2] == 0x58 && args[offset - 1] == CONTENT_SIZE &&
	       !memcmp(args + offset, zero, CONTENT_SIZE);
}

static const char *check_task(const Cashet__TaskSpec *from, uint32_t functions_known,
			      struct core_task_spec *to, struct core_ref *refs)
{
	if (from->function >= functions_known)
		return "a task with an unknown number of its function";
	if (from->args.len > ARGS_SIZE_MAX)
		return "arguments over 4 MiB";
	if (!from->args.len)
		return "a task without arguments";
	if (from->nonce.len && !wire_is(&from->nonce, NONCE_SIZE))
		return "a nonce that is not 16 bytes";
	for (size_t i = 0; i < from->n_refs; i++) {
		const Cashet__Ref *ref = from->refs[i];
		if (!is_placeholder(from->args.data, from->args.len, ref->offset))
			return "a reference that points at no empty placeholder";
		refs[i] = (struct core_ref){.offset = ref->offset,
					    .is_group = ref->is_group,
					    .target = ref->target,
					    .slot = ref->slot};
	}
	*to = (struct core_task_spec){
		.function = from->function,
		.args = from->args.data,
		.args_size = (uint32_t)from->args.len,
		.refs = refs,
		.ref_count = (uint32_t)from->n_refs,
		.needs = from->needs,
		.need_count = (uint32_t)from->n_needs,
		.nonce = from->nonce.len ? from->nonce.data : NULL,
	};
	return NULL;
}

static const char *check_info(const Cashet__SubmitChunk *c)
{
	const Cashet__BatchInfo *info = c->info;
	if (!info)
		return NULL;
	if (c->chunk)
		return "BatchInfo outside chunk 0";
	if (strlen(info->name) > NAME_MAX_BYTES || strlen(info->file) > 4096 ||
	    info->n_tags > PAIRS_MAX)
		return "a name, file or tags of a batch over their limits";
	return NULL;
}

static void make_room(const Cashet__SubmitChunk *c)
{
	size_t ranges = 0, refs = 0;
	for (size_t i = 0; i < c->n_groups; i++)
		ranges += c->groups[i]->n_ranges;
	for (size_t i = 0; i < c->n_tasks; i++)
		refs += c->tasks[i]->n_refs;
	ROOM(scratch.options, scratch.option_room, c->n_options);
	ROOM(scratch.functions, scratch.function_room, c->n_functions);
	ROOM(scratch.defs, scratch.def_room, c->n_functions);
	ROOM(scratch.groups, scratch.group_room, c->n_groups);
	ROOM(scratch.ranges, scratch.range_room, ranges);
	ROOM(scratch.tasks, scratch.task_room, c->n_tasks);
	ROOM(scratch.refs, scratch.ref_room, refs);
}

static const char *check_all(struct broker *b, const Cashet__SubmitChunk *c,
			     uint32_t functions_before, uint32_t options_before,
			     struct chunk_view *view)
{
	const char *wrong = check_info(c);
	uint32_t options_known = options_before + (uint32_t)c->n_options;
	uint32_t functions_known = functions_before + (uint32_t)c->n_functions;
	for (size_t i = 0; !wrong && i < c->n_options; i++)
		wrong = check_options(c->options[i], &scratch.options[i]);
	for (size_t i = 0; !wrong && i < c->n_functions; i++)
		wrong = check_function(b, c->functions[i], options_known, view);
	struct core_group_range *range = scratch.ranges;
	for (size_t i = 0; !wrong && i < c->n_groups; i++) {
		wrong = check_group(c->groups[i], &scratch.groups[i], range);
		if (c->groups[i]->n_ranges) /* else there may be no array at all */
			range += c->groups[i]->n_ranges;
	}
	struct core_ref *ref = scratch.refs;
	for (size_t i = 0; !wrong && i < c->n_tasks; i++) {
		wrong = check_task(c->tasks[i], functions_known, &scratch.tasks[i], ref);
		if (c->tasks[i]->n_refs)
			ref += c->tasks[i]->n_refs;
	}
	return wrong;
}

int chunk_check(struct broker *b, const Cashet__SubmitChunk *c, uint32_t functions_before,
		uint32_t options_before, struct chunk_view *view)
{
	*view = (struct chunk_view){0};
	make_room(c);
	view->wrong = check_all(b, c, functions_before, options_before, view);
	view->defs = scratch.defs;
	view->event = (struct core_event){
		.type = CORE_EV_BATCH_CHUNK,
		.chunk = {.options = scratch.options,
			  .option_count = (uint32_t)c->n_options,
			  .functions = scratch.functions,
			  .function_count = (uint32_t)c->n_functions,
			  .groups = scratch.groups,
			  .group_count = (uint32_t)c->n_groups,
			  .tasks = scratch.tasks,
			  .task_count = (uint32_t)c->n_tasks},
	};
	if (view->wrong)
		chunk_view_drop(b, view);
	return view->wrong != NULL;
}

void chunk_view_drop(struct broker *b, struct chunk_view *view)
{
	for (size_t i = 0; i < view->def_count; i++)
		function_def_put(b, view->defs[i]);
	view->def_count = 0;
}
