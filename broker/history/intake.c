/* intake.c - see intake.h. */
#include "broker/history/intake.h"

#include "common/format/function.h"
#include "common/names.h"
#include "common/pure/mem.h"
#include "proto/wire.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 1024
#define PAIRS_MAX 256
#define RETRIES_MAX 1000000
#define SECRETS_MAX 64
#define INTERPRETER_MAX 4096

#define ROOM(array, room, count)                                                         \
	do {                                                                             \
		if ((count) > (room)) {                                                  \
			(room) = (count) + (count) / 2;                                  \
			free(array);                                                     \
			(array) = mem_alloc((room) * sizeof *(array));                   \
		}                                                                        \
	} while (0)

void intake_fini(struct intake *in)
{
	free(in->options);
	free(in->functions);
	free(in->groups);
	free(in->ranges);
	free(in->tasks);
	free(in->refs);
	*in = (struct intake){0};
}

int intake_resources(struct core_resource *out, uint32_t *countp,
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
	if (from->n_secrets > SECRETS_MAX)
		return "more than 64 secrets";
	if (from->isolation != CASHET__OPTIONS__ISOLATION__SHARED &&
	    from->isolation != CASHET__OPTIONS__ISOLATION__FORK)
		return "an unknown isolation";
	if (strlen(from->interpreter) > INTERPRETER_MAX)
		return "the name of an interpreter over 4 KiB";
	for (size_t i = 0; i < from->n_secrets; i++)
		if (names_secret_problem(from->secrets[i]))
			return "a secret with a name that cannot be one";
	to->retries = from->retries;
	to->timeout_ns = from->timeout_ns;
	to->priority = from->priority;
	to->cache = (enum core_cache)from->cache;
	if (intake_resources(to->resources, &to->resource_count, from->resources,
			     from->n_resources))
		return "resources with bad, doubled or too many names (16 at most)";
	if (!to->resource_count) {
		strcpy(to->resources[0].name, "cpus");
		to->resources[0].amount = 1000;
		to->resource_count = 1;
	}
	return NULL;
}

static const char *check_function(const Cashet__Function *from, uint32_t options_known,
				  const struct intake_source *source,
				  struct core_function *to)
{
	if (from->options >= options_known)
		return "a function with an unknown number of options";
	if (from->description.len > FUNCTION_SIZE_MAX)
		return "a description of a function over 1 MiB";
	if (strlen(from->name) > NAME_MAX_BYTES || from->n_tags > PAIRS_MAX ||
	    from->n_env > PAIRS_MAX)
		return "a function's name, tags or env over their limits";
	if (from->n_params > PAIRS_MAX)
		return "more than 256 arguments to show of a function";
	for (size_t i = 0; i < from->n_params; i++)
		if (strlen(from->params[i]) > NAME_MAX_BYTES)
			return "an argument to show with a name over 1 KiB";
	if (from->source.len && !wire_is(&from->source, DIGEST_SIZE))
		return "the source of a function that is not 32 bytes";
	to->options = from->options;
	bool needs_source = false;
	if (source->function(source->arg, from, to, &needs_source))
		return "a malformed description of a function";
	if (needs_source != (from->source.len > 0))
		return needs_source ? "a function by source that names none"
				    : "the source of a function that has none";
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
		    !content_is_argument(ranges[i].content.type))
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

static void make_room(struct intake *in, const Cashet__SubmitChunk *c)
{
	size_t ranges = 0, refs = 0;
	for (size_t i = 0; i < c->n_groups; i++)
		ranges += c->groups[i]->n_ranges;
	for (size_t i = 0; i < c->n_tasks; i++)
		refs += c->tasks[i]->n_refs;
	ROOM(in->options, in->option_room, c->n_options);
	ROOM(in->functions, in->function_room, c->n_functions);
	ROOM(in->groups, in->group_room, c->n_groups);
	ROOM(in->ranges, in->range_room, ranges);
	ROOM(in->tasks, in->task_room, c->n_tasks);
	ROOM(in->refs, in->ref_room, refs);
}

const char *intake_check(struct intake *in, const Cashet__SubmitChunk *c,
			 uint32_t functions_before, uint32_t options_before,
			 const struct intake_source *source, struct core_event *event)
{
	make_room(in, c);
	const char *wrong = check_info(c);
	uint32_t options_known = options_before + (uint32_t)c->n_options;
	uint32_t functions_known = functions_before + (uint32_t)c->n_functions;
	for (size_t i = 0; !wrong && i < c->n_options; i++)
		wrong = check_options(c->options[i], &in->options[i]);
	for (size_t i = 0; !wrong && i < c->n_functions; i++)
		wrong = check_function(c->functions[i], options_known, source,
				       &in->functions[i]);
	struct core_group_range *range = in->ranges;
	for (size_t i = 0; !wrong && i < c->n_groups; i++) {
		wrong = check_group(c->groups[i], &in->groups[i], range);
		if (c->groups[i]->n_ranges) /* else there may be no array at all */
			range += c->groups[i]->n_ranges;
	}
	struct core_ref *ref = in->refs;
	for (size_t i = 0; !wrong && i < c->n_tasks; i++) {
		wrong = check_task(c->tasks[i], functions_known, &in->tasks[i], ref);
		if (c->tasks[i]->n_refs)
			ref += c->tasks[i]->n_refs;
	}
	*event = (struct core_event){
		.type = CORE_EV_BATCH_CHUNK,
		.chunk = {.options = in->options,
			  .option_count = (uint32_t)c->n_options,
			  .functions = in->functions,
			  .function_count = (uint32_t)c->n_functions,
			  .groups = in->groups,
			  .group_count = (uint32_t)c->n_groups,
			  .tasks = in->tasks,
			  .task_count = (uint32_t)c->n_tasks},
	};
	return wrong;
}
