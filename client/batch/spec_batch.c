/* spec_batch.c - see spec.h: the top of a batch file. */
#include "client/batch/spec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TOP_VERSION, TOP_NAME, TOP_DEFAULTS, TOP_TASKS, TOP_POLICY, TOP_COUNT };
static const char *const top_keys[] = {"version", "name",   "defaults",
				       "tasks",	  "policy", NULL};

#define NAME_MAX_BYTES 200

/* Before anything else: another version may have other keys. */
static int check_version(struct spec *s, const struct node *root)
{
	const struct node *version = node_find(root, "version");
	if (!version)
		return doc_fail(s->doc, root,
				"version is missing: a batch file has version: 1");
	int64_t number;
	int e = get_int(s->doc, version, "version", INT64_MIN, INT64_MAX, &number);
	if (e || number == 1)
		return e;
	e = doc_fail(s->doc, version,
		     "unknown version %" PRId64 ": this cashet reads version 1", number);
	if (number > 1)
		err_next(s->doc->e, "a newer cashet may read it");
	return e;
}

static int read_policy(struct spec *s, const struct node *node, struct spec_batch *batch)
{
	enum { POLICY_FAILURES, POLICY_PARALLEL, POLICY_COUNT };
	static const char *const keys[] = {"max_failures", "max_parallel", NULL};
	const struct node *v[POLICY_COUNT];
	int e = get_keys(s->doc, node, "policy", keys, v);
	if (!e && v[POLICY_FAILURES])
		e = get_uint(s->doc, v[POLICY_FAILURES], "max_failures", UINT32_MAX,
			     &batch->max_failures);
	if (!e && v[POLICY_PARALLEL])
		e = get_uint(s->doc, v[POLICY_PARALLEL], "max_parallel", UINT32_MAX,
			     &batch->max_parallel);
	return e;
}

int spec_add_target(struct spec *s, struct targets *targets, const struct spec_task *task)
{
	uint32_t count = task->outputs.count;
	const char **names = NULL, **paths = NULL;
	if (count && (!(names = spec_take(s, count, sizeof *names)) ||
		      !(paths = spec_take(s, count, sizeof *paths))))
		return ERR_FAILED;
	for (uint32_t i = 0; i < count; i++) {
		names[i] = task->outputs.items[i].key;
		paths[i] = task->outputs.items[i].value;
	}
	struct shape shape = {names, paths, count, task->call != NULL};
	return targets_add(targets, task->ref_name, &shape, (uint32_t)task->count,
			   task->sweep, s->form == SPEC_LINES)
		       ? doc_no_memory(s->doc)
		       : 0;
}

/* One process per language describes what all tasks need; it runs when the first of them asks. */
static int want_all(struct spec *s, const struct node *node)
{
	const struct node *of_all =
		s->defaults && s->defaults->kind == NODE_MAP ? s->defaults : NULL;
	int e = of_all ? spec_want(s, of_all) : 0;
	for (uint32_t i = 0; !e && i < node->count; i++)
		e = spec_want(s, node->kind == NODE_MAP ? &node->pairs[i].value
							: &node->items[i]);
	return e;
}

static int read_tasks(struct spec *s, const struct node *node, struct targets *targets,
		      struct spec_batch *batch)
{
	bool by_name = node->kind == NODE_MAP;
	if (node->kind == NODE_TEXT)
		return get_is_map(s->doc, node, "tasks");
	if (!node->count)
		return doc_fail(s->doc, node, "there are no tasks");
	s->form = by_name ? SPEC_BY_NAME : SPEC_LIST;
	if (!(batch->tasks = spec_take(s, node->count, sizeof *batch->tasks)))
		return ERR_FAILED;
	int wanted = want_all(s, node);
	if (wanted)
		return wanted;
	for (uint32_t i = 0; i < node->count; i++) {
		const struct node *key = by_name ? &node->pairs[i].key : NULL;
		const struct node *value =
			by_name ? &node->pairs[i].value : &node->items[i];
		struct spec_task *task = &batch->tasks[i];
		int e = spec_read_task(s, key, value, task);
		if (e)
			return e;
		batch->total += task->count;
		if (batch->total > SWEEP_MAX) {
			e = doc_fail(s->doc, task->node,
				     "with this task (\"%s\") the file has %" PRIu64
				     " tasks and is over the limit of %u",
				     task->name, batch->total, SWEEP_MAX);
			err_next(s->doc->e,
				 "write generated sets as JSONL, which is not bounded");
			return e;
		}
		if ((e = spec_add_target(s, targets, task)))
			return e;
		batch->count++;
	}
	return 0;
}

int spec_read_batch(struct spec *s, struct targets *targets, struct spec_batch *batch)
{
	const struct node *root = &s->doc->root, *v[TOP_COUNT];
	*batch = (struct spec_batch){.name = ""};
	int e = get_is_map(s->doc, root, "a batch file");
	if (!e)
		e = check_version(s, root);
	if (!e)
		e = get_keys(s->doc, root, "the batch file", top_keys, v);
	if (!e && v[TOP_NAME])
		e = get_text(s->doc, v[TOP_NAME], "name", &batch->name);
	if (!e && strlen(batch->name) > NAME_MAX_BYTES)
		e = doc_fail(s->doc, v[TOP_NAME], "name has %d bytes at most",
			     NAME_MAX_BYTES);
	if (!e && v[TOP_POLICY])
		e = read_policy(s, v[TOP_POLICY], batch);
	if (!e && !v[TOP_TASKS])
		e = doc_fail(s->doc, root, "the batch file has no tasks");
	s->defaults = e ? NULL : v[TOP_DEFAULTS];
	if (!e)
		e = read_tasks(s, v[TOP_TASKS], targets, batch);
	for (uint32_t i = 0; !e && i < batch->count; i++)
		e = spec_resolve(s, targets, &batch->tasks[i], i,
				 batch->tasks[i].count ? i : 0);
	if (!e)
		e = spec_check_cycles(s, targets, batch->tasks, batch->count);
	return e;
}
