/* spec_options.c - see spec.h: what is not identity: resources, limits, cache, metrics,
 * secrets. Of secrets a client knows the names; their values are with the workers. */
#include "client/batch/spec.h"

#include "common/names.h"

#include <stdlib.h>
#include <string.h>

#define RETRIES_MAX 1000000
#define GRACE_DEFAULT (5 * NS_PER_S)
#define RESOURCE_NAME_MAX 31

/* ---- resources */

static int by_name(const void *a, const void *b)
{
	const struct spec_resource *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static int read_amount(struct spec *s, const struct node *node, struct spec_resource *r)
{
	if (!strcmp(r->name, "memory"))
		return get_size(s->doc, node, "memory", &r->amount);
	if (strcmp(r->name, "gpus"))
		return get_milli(s->doc, node, r->name, &r->amount);
	int e = get_uint(s->doc, node, "gpus", 65536, &r->amount);
	r->amount *= 1000;
	return e;
}

struct resources {
	struct spec_resource items[SPEC_RESOURCES_MAX];
	uint32_t count;
};

static int set_resource(struct spec *s, const struct node_pair *pair,
			struct resources *all)
{
	struct spec_resource r;
	int e = get_name(s->doc, &pair->key, "a resource", &r.name);
	if (!e && strlen(r.name) > RESOURCE_NAME_MAX)
		e = doc_fail(s->doc, &pair->key,
			     "the name of a resource has %d characters at most",
			     RESOURCE_NAME_MAX);
	if (!e)
		e = read_amount(s, &pair->value, &r);
	if (e)
		return e;
	for (uint32_t i = 0; i < all->count; i++)
		if (!strcmp(all->items[i].name, r.name)) {
			all->items[i] = r;
			return 0;
		}
	if (all->count == SPEC_RESOURCES_MAX)
		return doc_fail(s->doc, &pair->key,
				"a task asks for %d resources at most, cpus included",
				SPEC_RESOURCES_MAX);
	all->items[all->count++] = r;
	return 0;
}

static int read_resources(struct spec *s, const struct node *own,
			  const struct node *common, struct spec_options *o)
{
	static const struct spec_resource one_cpu = {"cpus", 1000};
	const struct node *maps[] = {common, own};
	struct resources all = {.items = {one_cpu}, .count = 1};
	o->resources = &one_cpu;
	o->resource_count = 1;
	if (!own && !common)
		return 0;
	for (size_t m = 0; m < ARRAY_LEN(maps); m++) {
		if (!maps[m])
			continue;
		int e = get_is_map(s->doc, maps[m], "resources");
		for (uint32_t i = 0; !e && i < maps[m]->count; i++)
			e = set_resource(s, &maps[m]->pairs[i], &all);
		if (e)
			return e;
	}
	struct spec_resource *kept = spec_take(s, all.count, sizeof *kept);
	if (!kept)
		return ERR_FAILED;
	memcpy(kept, all.items, all.count * sizeof *kept);
	qsort(kept, all.count, sizeof *kept, by_name);
	o->resources = kept;
	o->resource_count = all.count;
	return 0;
}

/* ---- cache */

static int read_cache(struct spec *s, const struct node *own, const struct node *common,
		      struct spec_task *task)
{
	enum { CACHE_MODE, CACHE_TTL, CACHE_SALT, CACHE_COUNT };
	static const char *const cache_keys[] = {"mode", "ttl", "salt", NULL};
	static const char *const modes[] = {"use", "off", "force", NULL};
	const struct node *maps[] = {common, own};
	struct spec_options *o = &task->options;
	for (size_t m = 0; m < ARRAY_LEN(maps); m++) {
		const struct node *v[CACHE_COUNT];
		unsigned mode;
		uint64_t ttl;
		if (!maps[m])
			continue;
		if (maps[m]->kind == NODE_TEXT)
			return doc_fail(s->doc, maps[m],
					"cache must be a map, like {mode: off}");
		int e = get_keys(s->doc, maps[m], "cache", cache_keys, v);
		if (!e && v[CACHE_MODE] &&
		    !(e = get_choice(s->doc, v[CACHE_MODE], "mode", modes, &mode)))
			o->cache = (enum spec_cache)mode;
		if (!e && v[CACHE_TTL] &&
		    !(e = get_duration(s->doc, v[CACHE_TTL], "ttl", &ttl))) {
			o->ttl_s = ttl / NS_PER_S;
			if (ttl && !o->ttl_s)
				e = doc_fail(s->doc, v[CACHE_TTL],
					     "ttl must be 1s or more");
		}
		if (!e && v[CACHE_SALT])
			e = get_text(s->doc, v[CACHE_SALT], "salt", &task->salt);
		if (e)
			return e;
	}
	return 0;
}

/* ---- metrics */

static int read_best(struct spec *s, const struct node *map, struct spec_options *o)
{
	static const char *const directions[] = {"min", "max", NULL};
	int e = get_is_map(s->doc, map, "best");
	if (e)
		return e;
	if (!(o->best = spec_take(s, map->count, sizeof *o->best)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < map->count; i++) {
		unsigned direction;
		const char *metric = map->pairs[i].key.text;
		if (!*metric)
			return doc_fail(s->doc, &map->pairs[i].key,
					"a metric needs a name");
		e = get_choice(s->doc, &map->pairs[i].value, metric, directions,
			       &direction);
		if (e)
			return e;
		o->best[i] = arena_printf(&s->doc->arena, "%s:%s", metric,
					  directions[direction]);
		if (!o->best[i])
			return doc_no_memory(s->doc);
	}
	o->best_count = map->count;
	return 0;
}

static int read_metrics(struct spec *s, const struct node *own, const struct node *common,
			struct spec_task *task)
{
	enum { METRICS_FROM, METRICS_BEST, METRICS_COUNT };
	static const char *const metrics_keys[] = {"from", "best", NULL};
	const struct node *maps[] = {common, own};
	for (size_t m = 0; m < ARRAY_LEN(maps); m++) {
		const struct node *v[METRICS_COUNT];
		if (!maps[m])
			continue;
		int e = get_keys(s->doc, maps[m], "metrics", metrics_keys, v);
		if (!e && v[METRICS_FROM] && task->call)
			e = doc_fail(
				s->doc, v[METRICS_FROM],
				"metrics.from is for commands: the metrics of a call "
				"are the numbers and texts of the map that it returns");
		if (!e && v[METRICS_FROM])
			e = get_inside(s->doc, v[METRICS_FROM], "metrics.from",
				       &task->metrics);
		if (!e && v[METRICS_BEST])
			e = read_best(s, v[METRICS_BEST], &task->options);
		if (!e && !task->metrics && !task->call && maps[m] == own)
			e = doc_fail(s->doc, own,
				     "metrics needs from, the file that the task writes");
		if (e)
			return e;
	}
	return 0;
}

/* ---- secrets */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_one(struct spec *s, const struct node *node, struct spec_task *task)
{
	struct spec_options *o = &task->options;
	const char *name;
	int e = get_text(s->doc, node, "the name of a secret", &name);
	if (e)
		return e;
	const char *problem = names_secret_problem(name);
	if (problem)
		return doc_fail(s->doc, node, "\"%.128s\" cannot be a secret: %s", name,
				problem);
	for (uint32_t i = 0; i < task->env.count; i++)
		if (!strcmp(task->env.items[i].key, name))
			return doc_fail(
				s->doc, node,
				"\"%s\" is in env of task \"%s\" too: leave it in one of "
				"the two",
				name, task->name);
	for (uint32_t i = 0; i < o->secret_count; i++)
		if (!strcmp(o->secrets[i], name))
			return doc_fail(s->doc, node, "\"%s\" is in secrets twice", name);
	o->secrets[o->secret_count++] = name;
	return 0;
}

int spec_read_secrets(struct spec *s, const struct node *list, struct spec_task *task)
{
	struct spec_options *o = &task->options;
	if (!list)
		return 0;
	if (list->kind != NODE_LIST) {
		char is[128];
		return doc_fail(
			s->doc, list,
			"secrets must be a list of names, like [API_TOKEN], not %s: "
			"the values stay with the workers",
			get_describe(list, is));
	}
	if (list->count > SPEC_SECRETS_MAX)
		return doc_fail(s->doc, list, "a task has %d secrets at most",
				SPEC_SECRETS_MAX);
	if (list->count && !(o->secrets = spec_take(s, list->count, sizeof *o->secrets)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < list->count; i++) {
		int e = read_one(s, &list->items[i], task);
		if (e)
			return e;
	}
	/* In any order they are the same options. */
	if (o->secret_count > 1)
		qsort(o->secrets, o->secret_count, sizeof *o->secrets, by_text);
	return 0;
}

int spec_read_options(struct spec *s, const struct node *const *own,
		      const struct node *const *common, struct spec_task *task)
{
	struct spec_options *o = &task->options;
	o->grace_ns = GRACE_DEFAULT;
	/* What the task says wins; what it leaves out, the defaults say. */
	const struct node *v[OPTION_COUNT];
	for (int i = 0; i < OPTION_COUNT; i++)
		v[i] = own[i] ? own[i] : common[i];
	int e = read_resources(s, own[OPTION_RESOURCES], common[OPTION_RESOURCES], o);
	if (!e && v[OPTION_RETRIES])
		e = get_uint(s->doc, v[OPTION_RETRIES], "retries", RETRIES_MAX,
			     &o->retries);
	if (!e && v[OPTION_TIMEOUT])
		e = get_duration(s->doc, v[OPTION_TIMEOUT], "timeout", &o->timeout_ns);
	if (!e && v[OPTION_GRACE])
		e = get_duration(s->doc, v[OPTION_GRACE], "grace", &o->grace_ns);
	if (!e && v[OPTION_PRIORITY])
		e = get_int(s->doc, v[OPTION_PRIORITY], "priority", INT32_MIN, INT32_MAX,
			    &o->priority);
	if (!e)
		e = read_cache(s, own[OPTION_CACHE], common[OPTION_CACHE], task);
	if (!e)
		e = read_metrics(s, own[OPTION_METRICS], common[OPTION_METRICS], task);
	if (s->no_cache)
		o->cache = SPEC_OFF;
	if (s->force)
		o->cache = SPEC_FORCE;
	return e;
}
