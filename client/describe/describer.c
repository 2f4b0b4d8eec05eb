/* describer.c - see describe.h: what is wanted, in groups that one process answers, or that are
 * remembered. */
#include "client/describe/inside.h"

#include "client/describe/answer.h"
#include "client/program.h"
#include "common/pure/sha256.h"
#include "version.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct language languages[] = {
	{"python", "Python", ".py", "cashet-runner-python", {NULL}},
	{"c", "C", ".c", "cashet-runner-c", {"CC", "CPATH", "C_INCLUDE_PATH"}},
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_FAILED, "out of memory");
}

int describer_new(struct describer **dp, const struct describe_options *options,
		  struct err *e)
{
	struct describer *d = calloc(1, sizeof *d);
	if (!d)
		return no_memory(e);
	char *path = NULL;
	d->options = *options;
	d->options.folder =
		arena_text(&d->arena, options->folder, strlen(options->folder));
	if (!d->options.folder ||
	    (options->memo_path && asprintf(&path, "%s.calls", options->memo_path) < 0) ||
	    recall_init(&d->recall, path)) {
		free(path);
		describer_free(d);
		return no_memory(e);
	}
	free(path);
	*dp = d;
	return 0;
}

void describer_free(struct describer *d)
{
	if (!d)
		return;
	recall_save(&d->recall);
	recall_fini(&d->recall);
	map_fini(&d->map);
	free(d->items);
	arena_fini(&d->arena);
	free(d);
}

/* ---- names */

const char *describe_language(const char *file)
{
	size_t size = strlen(file);
	for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
		size_t end = strlen(languages[i].end);
		if (size > end && !strcmp(file + size - end, languages[i].end))
			return languages[i].name;
	}
	return NULL;
}

size_t describe_split(const char *target, const char **namep)
{
	const char *colon = strrchr(target, ':'), *at = colon ? colon + 1 : "";
	*namep = NULL;
	/* Letters beyond ASCII may be part of a name: the describer knows. */
	for (const unsigned char *c = (const unsigned char *)at; *c; c++) {
		bool letter =
			((*c | 32) >= 'a' && (*c | 32) <= 'z') || *c == '_' || *c >= 0x80;
		if (!letter && (c == (const unsigned char *)at || *c < '0' || *c > '9'))
			return strlen(target);
	}
	if (!*at || colon == target)
		return strlen(target);
	*namep = at;
	return (size_t)(colon - target);
}

static const struct language *find_language(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(languages); i++)
		if (!strcmp(languages[i].name, name))
			return &languages[i];
	return NULL;
}

/* ---- wanting */

static const char *copy_text(struct describer *d, const char *text)
{
	return text ? arena_text(&d->arena, text, strlen(text)) : NULL;
}

/* copy_target() - texts, and what is asked with which others. Return: NULL out of memory. */
static struct wanted *copy_target(struct describer *d, const struct describe_target *t)
{
	struct wanted *w = arena_calloc(&d->arena, 1, sizeof *w);
	const char **flags = arena_calloc(&d->arena, t->flag_count, sizeof *flags);
	CLEANUP_BUF struct buf group = {0};
	if (!w || !flags)
		return NULL;
	buf_printf(&group, "%s %d %s", t->language, t->canonical,
		   t->python ? t->python : "");
	for (size_t i = 0; i < t->flag_count; i++) {
		buf_printf(&group, "\n%s", t->flags[i]);
		if (!(flags[i] = copy_text(d, t->flags[i])))
			return NULL;
	}
	w->t = *t;
	w->language = find_language(t->language);
	w->t.file = copy_text(d, t->file);
	w->t.function = copy_text(d, t->function);
	w->t.python = copy_text(d, t->python);
	w->t.flags = flags;
	w->group = copy_text(d, buf_cstr(&group));
	w->line = t->function ? arena_printf(&d->arena, "%s:%s", t->file, t->function)
			      : w->t.file;
	w->d.target = w->line;
	w->d.unit.language = (char *)(uintptr_t)w->language->name;
	w->d.unit.flags = (char **)(uintptr_t)flags;
	w->d.unit.flag_count = t->flag_count;
	bool good = w->t.file && w->line && w->group && !group.failed &&
		    (!t->function || w->t.function) && (!t->python || w->t.python);
	return good ? w : NULL;
}

static int add(struct describer *d, const struct describe_target *t,
	       const struct buf *key, struct err *e)
{
	if (d->count == d->capacity) {
		uint32_t capacity = d->capacity ? 2 * d->capacity : 16;
		struct wanted **items = realloc(d->items, capacity * sizeof(*items));
		if (!items)
			return no_memory(e);
		d->items = items;
		d->capacity = capacity;
	}
	struct wanted *w = copy_target(d, t);
	char *copy = arena_text(&d->arena, (const char *)key->data, key->size);
	if (!w || !copy || map_put(&d->map, copy, key->size, d->count))
		return no_memory(e);
	d->items[d->count++] = w;
	return 0;
}

static void add_field(struct buf *key, const char *text)
{
	if (text)
		buf_add(key, text, strlen(text) + 1);
	else
		buf_add(key, "\1", 2);
}

int describer_want(struct describer *d, const struct describe_target *target,
		   uint32_t *numberp, struct err *e)
{
	CLEANUP_BUF struct buf key = {0};
	struct describe_target t = *target;
	if (!t.language)
		t.language = describe_language(t.file);
	if (!find_language(t.language)) {
		err_set(e, ERR_USAGE,
			"no language is known for \"%.300s\": files of functions end in "
			".py or .c",
			t.file);
		return ERR_USAGE;
	}
	if (strchr(t.file, '\n'))
		return err_set(e, ERR_USAGE, "the file's name has a line break");
	add_field(&key, t.language);
	add_field(&key, t.file);
	add_field(&key, t.function);
	add_field(&key, t.python);
	add_field(&key, t.canonical ? "canonical" : "");
	for (size_t i = 0; i < t.flag_count; i++)
		add_field(&key, t.flags[i]);
	if (key.failed)
		return no_memory(e);
	uint32_t *known = map_find(&d->map, key.data, key.size);
	if (known) {
		*numberp = *known;
		return 0;
	}
	*numberp = d->count;
	return add(d, &t, &key, e);
}

const struct described *describer_get(const struct describer *d, uint32_t number)
{
	return number < d->count && d->items[number]->answered ? &d->items[number]->d
							       : NULL;
}

/* ---- what a describer depends on */

static char *find_python(const struct describer *d, const char *said)
{
	char *path = NULL;
	if (!strchr(said, '/'))
		return program_in_path(said);
	if (*said == '/')
		return strdup(said);
	return asprintf(&path, "%s/%s", d->options.folder, said) < 0 ? NULL : path;
}

static void add_program(struct buf *key, const char *path)
{
	struct stat st = {0};
	add_field(key, path);
	if (path && stat(path, &st) == 0)
		buf_printf(key, "%" PRIu64 " %" PRIu64 " %lld.%09ld", (uint64_t)st.st_ino,
			   (uint64_t)st.st_size, (long long)st.st_mtim.tv_sec,
			   st.st_mtim.tv_nsec);
	buf_add_byte(key, '\0');
}

/* The parts of a key that all of a group share; @python: the interpreter, also if none was named. */
static void group_key(const struct describer *d, const struct describe_group *g,
		      struct buf *key)
{
	const struct wanted *w = g->items[0];
	char *python = NULL;
	add_field(key, CASHET_VERSION);
	add_field(key, w->group);
	add_field(key, d->options.folder);
	add_program(key, g->program);
	if (!strcmp(w->language->name, "python")) {
		python = g->python ? strdup(g->python) : program_in_path("python3");
		add_program(key, python);
		free(python);
	}
	for (size_t i = 0; i < ARRAY_LEN(w->language->env); i++)
		if (w->language->env[i])
			add_field(key, getenv(w->language->env[i]));
}

static void recall_all(struct describer *d, struct describe_group *g)
{
	CLEANUP_BUF struct buf head = {0};
	size_t left = 0;
	group_key(d, g, &head);
	size_t size = head.size;
	for (size_t i = 0; i < g->count; i++) {
		struct wanted *w = g->items[i];
		const char *version, *row;
		size_t row_size;
		char wrong[200];
		head.size = size;
		add_field(&head, w->line);
		w->has_key = !head.failed && !w->t.canonical;
		sha256_digest(head.data, head.size, w->key);
		if (w->has_key &&
		    recall_find(&d->recall, w->key, &version, &row, &row_size) &&
		    !answer_read(row, row_size, &d->arena, &w->d, wrong) && w->d.ok) {
			w->d.version = version;
			w->d.remembered = w->answered = true;
		} else {
			g->items[left++] = w;
		}
	}
	g->count = left;
}

/* ---- all that is wanted */

static void missing_runner(struct describer *d, struct describe_group *g)
{
	CLEANUP_BUF struct buf text = {0};
	const struct language *l = g->items[0]->language;
	const char *folder = getenv("CASHET_RUNNER_PATH");
	if (folder && *folder)
		buf_printf(
			&text,
			"%s, which reads %s sources, is not in %s (CASHET_RUNNER_PATH)",
			l->program, l->title, folder);
	else
		buf_printf(&text,
			   "%s, which reads %s sources, is neither beside this program "
			   "nor in PATH",
			   l->program, l->title);
	CLEANUP_BUF struct buf next = {0};
	buf_printf(&next, "install %s, or name its folder in CASHET_RUNNER_PATH",
		   l->program);
	describe_no_program(d, g, "no-runner", buf_cstr(&text), buf_cstr(&next));
}

static int answer_group(struct describer *d, struct describe_group *g, struct err *e)
{
	const struct describe_target *t = &g->items[0]->t;
	g->program = program_of_runner(g->items[0]->language->program);
	if (!g->program) {
		missing_runner(d, g);
		return 0;
	}
	if (t->python && !(g->python = find_python(d, t->python))) {
		CLEANUP_BUF struct buf text = {0};
		buf_printf(&text, "there is no Python interpreter \"%.200s\" in PATH",
			   t->python);
		describe_no_program(
			d, g, "no-interpreter", buf_cstr(&text),
			"what the function imports is looked up in it: name one that "
			"this machine has");
		return 0;
	}
	recall_all(d, g);
	return g->count ? describe_ask(d, g, e) : 0;
}

int describer_run(struct describer *d, struct err *e)
{
	int r = 0;
	recall_begin(&d->recall);
	while (r == 0 && d->first_open < d->count) {
		if (d->items[d->first_open]->answered) {
			d->first_open++;
			continue;
		}
		struct describe_group g = {0};
		for (uint32_t i = d->first_open; i < d->count && g.count < GROUP_MAX; i++)
			if (!d->items[i]->answered &&
			    !strcmp(d->items[i]->group, d->items[d->first_open]->group))
				g.items[g.count++] = d->items[i];
		r = answer_group(d, &g, e);
		free(g.program);
		free(g.python);
	}
	return r;
}
