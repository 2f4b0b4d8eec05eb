/* fake_describer.c - see fake_describer.h. */
#include "fake_describer.h"

#include "client/batch/scalar.h"
#include "client/describe/describe.h"
#include "common/fs.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 32

unsigned fake_runs;

struct entry {
	char key[600], *file, *function, *shown;
	bool done;
	struct described d;
	struct described_parameter parameters[MANY];
	struct arg defaults[MANY];
	struct described_file files[MANY];
	struct described_warning warning;
};

struct describer {
	char folder[300];
	struct entry *entries[1000];
	uint32_t count;
	char *texts[4000];
	size_t text_count;
};

static char *keep(struct describer *d, const char *text, size_t size)
{
	cr_assert(d->text_count < ARRAY_LEN(d->texts));
	return d->texts[d->text_count++] = strndup(text, size);
}

int describer_new(struct describer **dp, const struct describe_options *options,
		  struct err *e)
{
	*dp = calloc(1, sizeof **dp);
	snprintf((*dp)->folder, sizeof(*dp)->folder, "%s", options->folder);
	return 0;
}

void describer_free(struct describer *d)
{
	for (uint32_t i = 0; d && i < d->count; i++)
		free(d->entries[i]);
	for (size_t i = 0; d && i < d->text_count; i++)
		free(d->texts[i]);
	free(d);
}

const char *describe_language(const char *file)
{
	const char *dot = strrchr(file, '.');
	return !dot		     ? NULL
	       : !strcmp(dot, ".py") ? "python"
	       : !strcmp(dot, ".c")  ? "c"
				     : NULL;
}

size_t describe_split(const char *target, const char **namep)
{
	const char *colon = strrchr(target, ':');
	*namep = colon && colon[1] ? colon + 1 : NULL;
	return *namep ? (size_t)(colon - target) : strlen(target);
}

int describer_want(struct describer *d, const struct describe_target *t,
		   uint32_t *numberp, struct err *e)
{
	char key[600], flags[200] = "";
	for (size_t i = 0; i < t->flag_count; i++)
		strcat(flags, t->flags[i]);
	snprintf(key, sizeof key, "%s%s%s:%s:%s:%s", *t->file == '/' ? "" : d->folder,
		 *t->file == '/' ? "" : "/", t->file, t->function ? t->function : "",
		 t->python ? t->python : "", flags);
	for (*numberp = 0; *numberp < d->count; ++*numberp)
		if (!strcmp(d->entries[*numberp]->key, key))
			return 0;
	struct entry *n = d->entries[d->count++] = calloc(1, sizeof *n);
	strcpy(n->key, key);
	n->file = keep(d, key, strcspn(key, ":"));
	n->function = t->function ? keep(d, t->function, strlen(t->function)) : NULL;
	n->shown = keep(d, t->file, strlen(t->file));
	n->d.target = n->shown;
	if (t->function) {
		char target[700];
		snprintf(target, sizeof target, "%s:%s", t->file, t->function);
		n->d.target = keep(d, target, strlen(target));
	}
	n->d.version = "3.11.7";
	n->d.unit.language = (char *)describe_language(t->file);
	return 0;
}

static void set_default(struct describer *d, struct entry *n, const char *text)
{
	struct value v;
	struct arg *a = &n->defaults[n->d.parameter_count];
	if (!strcmp(text, "?"))
		return;
	n->parameters[n->d.parameter_count].value = a;
	switch (scalar_parse(text, &v)) {
	case SCALAR_NULL:
		return;
	case SCALAR_VALUE:
		a->type = v.type == VALUE_INT	 ? ARG_INT
			  : v.type == VALUE_BOOL ? ARG_BOOL
						 : ARG_FLOAT;
		if (v.type == VALUE_DOUBLE)
			a->d = v.d;
		else if (v.type == VALUE_INT)
			a->i = v.i;
		else
			a->boolean = v.boolean;
		return;
	default:
		a->type = ARG_TEXT;
		a->data = keep(d, text, strlen(text));
		a->size = strlen(text);
	}
}

static void add_parameter(struct describer *d, struct entry *n, char *word)
{
	struct described_parameter *p = &n->parameters[n->d.parameter_count];
	char *equals = strchr(word, '=');
	p->kind = !strncmp(word, "**", 2) ? PARAMETER_KEYWORDS
		  : *word == '*'	  ? PARAMETER_REST
		  : *word == '/'	  ? PARAMETER_POSITIONAL
		  : *word == '.'	  ? PARAMETER_KEYWORD
					  : PARAMETER_ANY;
	if (equals)
		*equals = '\0';
	word += strspn(word, "*/.");
	p->name = keep(d, word, strlen(word));
	p->required =
		!equals && p->kind != PARAMETER_REST && p->kind != PARAMETER_KEYWORDS;
	if (equals)
		set_default(d, n, equals + 1);
	n->d.parameter_count++;
}

static void fail(struct entry *n, const char *name, const char *message, uint32_t line)
{
	n->d.ok = false;
	n->d.error = (struct described_warning){.name = name,
						.subject = "",
						.message = message,
						.file = n->shown,
						.line = line,
						.column = line ? 7 : 0};
}

static void add_file(struct describer *d, struct entry *n, const char *name)
{
	CLEANUP_BUF struct buf text = {0};
	const char *slash = strrchr(n->file, '/');
	char path[700];
	snprintf(path, sizeof path, "%.*s/%s", (int)(slash - n->file), n->file, name);
	cr_assert_eq(fs_read_file(path, 1 << 20, &text), 0, "%s", path);
	struct described_file *f = &n->files[n->d.file_count++];
	f->path = keep(d, name, strlen(name));
	f->full_path = keep(d, path, strlen(path));
	f->size = text.size;
	sha256_digest(text.data, text.size, f->digest);
}

static void read_signature(struct describer *d, struct entry *n, char *line)
{
	char *warning = strstr(line, " # "), *at = line + strlen(n->function) + 1;
	n->d.exact = line[strlen(n->function)] == ':';
	if (line[strlen(n->function)] == '!') {
		fail(n, "syntax", keep(d, at + 1, strlen(at + 1)), 12);
		return;
	}
	if (warning) {
		*warning = '\0';
		n->warning = (struct described_warning){
			"computed-name", "x", keep(d, warning + 3, strlen(warning + 3)),
			n->shown,	 3,   5};
		n->d.warnings = &n->warning;
		n->d.warning_count = 1;
	}
	for (char *word = strtok(at, " "); word; word = strtok(NULL, " "))
		add_parameter(d, n, word);
}

static void describe(struct describer *d, struct entry *n)
{
	CLEANUP_BUF struct buf text = {0};
	const char *base = strrchr(n->file, '/') + 1;
	n->done = true;
	n->d.parameters = n->parameters;
	n->d.files = n->files;
	if (fs_read_file(n->file, 1 << 20, &text)) {
		fail(n, "not-found", "there is no such file", 0);
		return;
	}
	n->d.ok = !n->function;
	n->d.unit.path = keep(d, base, strlen(base));
	n->d.unit.name = n->function;
	n->d.title = n->d.target;
	add_file(d, n, base);
	sha256_digest(text.data, text.size, n->d.unit.hash);
	size_t size = n->function ? strlen(n->function) : 0;
	char *copy = keep(d, (const char *)text.data, text.size), *next;
	for (char *line = strtok_r(copy, "\n", &next); line;
	     line = strtok_r(NULL, "\n", &next)) {
		if (!strncmp(line, "import ", 7))
			add_file(d, n, line + 7);
		if (!n->function && strchr(line, '!'))
			fail(n, "syntax", "invalid syntax", 12);
		if (!n->function || strncmp(line, n->function, size) ||
		    !strchr(":~!", line[size]))
			continue;
		n->d.ok = true;
		sha256_digest(line, strlen(line), n->d.unit.hash);
		read_signature(d, n, line);
	}
	memcpy(n->d.unit.identity, n->d.unit.hash, DIGEST_SIZE);
	if (!n->d.ok && !n->d.error.name)
		fail(n, "no-such-function", "there is no such function", 0);
}

int describer_run(struct describer *d, struct err *e)
{
	bool any = false;
	for (uint32_t i = 0; i < d->count; i++) {
		any |= !d->entries[i]->done;
		if (!d->entries[i]->done)
			describe(d, d->entries[i]);
	}
	fake_runs += any;
	return 0;
}

const struct described *describer_get(const struct describer *d, uint32_t number)
{
	return number < d->count && d->entries[number]->done ? &d->entries[number]->d
							     : NULL;
}
