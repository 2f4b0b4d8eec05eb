/* chunk.c - a chunk as it came from a client, checked (history/intake.c), with the shared descriptions of
 * its functions counted. */
#include "broker/broker.h"

#include "broker/history/intake.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

static struct intake intake;
static struct function_def **defs; /* of the functions of the last chunk */
static size_t def_room;

void chunk_scratch_free(void)
{
	intake_fini(&intake);
	free(defs);
	defs = NULL;
	def_room = 0;
}

int worker_resources(struct core_resource *out, uint32_t *countp,
		     Cashet__Resource *const *from, size_t count)
{
	return intake_resources(out, countp, from, count);
}

struct counting {
	struct broker *b;
	struct chunk_view *view;
};

static int count_function(void *arg, const Cashet__Function *from,
			  struct core_function *to, bool *needs_sourcep)
{
	const struct counting *c = arg;
	struct function_def *def =
		function_def_get(c->b, from->description.data, from->description.len);
	if (!def)
		return 1;
	mem_grow(defs, c->view->def_count, def_room);
	defs[c->view->def_count++] = def;
	memcpy(to->hash, def->hash, DIGEST_SIZE);
	to->output_count = (uint32_t)def->decoded.output_count;
	*needs_sourcep = function_has_source(&def->decoded);
	return 0;
}

int chunk_check(struct broker *b, const Cashet__SubmitChunk *c, uint32_t functions_before,
		uint32_t options_before, struct chunk_view *view)
{
	struct counting counting = {.b = b, .view = view};
	struct intake_source source = {.function = count_function, .arg = &counting};
	*view = (struct chunk_view){0};
	view->wrong = intake_check(&intake, c, functions_before, options_before, &source,
				   &view->event);
	view->defs = defs;
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
