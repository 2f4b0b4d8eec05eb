/* fuzz_batch_describer.c - stands in for client/describe/describer.c in fuzz_batch: no process is
 * started. A function is what its name says: "e..." has no parameters, "x..." has some, exactly; others
 * take anything; "bad..." cannot be described. */
#include "client/describe/describe.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

#define MANY 64

static const struct arg one = {.type = ARG_INT, .i = 1};
static const struct described_parameter parameters[] = {
	{"only", PARAMETER_POSITIONAL, false, &one},
	{"lr", PARAMETER_ANY, false, &one},
	{"x", PARAMETER_ANY, false, NULL},
	{"rest", PARAMETER_REST, false, NULL},
	{"k", PARAMETER_KEYWORD, false, &one},
	{"more", PARAMETER_KEYWORDS, false, NULL}};
static const struct described_file file = {
	.path = "f.py", .full_path = "/nowhere/f.py", .size = 1};

struct describer {
	struct described all[MANY];
	char *names[MANY];
	bool done[MANY];
	uint32_t count;
};

int describer_new(struct describer **dp, const struct describe_options *options,
		  struct err *e)
{
	*dp = calloc(1, sizeof **dp);
	return *dp ? 0 : err_set(e, ERR_FAILED, "out of memory");
}

void describer_free(struct describer *d)
{
	for (uint32_t i = 0; d && i < d->count; i++)
		free(d->names[i]);
	free(d);
}

const char *describe_language(const char *name)
{
	size_t size = strlen(name);
	return size > 3 && !strcmp(name + size - 3, ".py")  ? "python"
	       : size > 2 && !strcmp(name + size - 2, ".c") ? "c"
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
	const char *name = t->function ? t->function : "";
	for (*numberp = 0; *numberp < d->count; ++*numberp)
		if (!strcmp(d->names[*numberp], name))
			return 0;
	if (d->count == MANY)
		return err_set(e, ERR_USAGE, "too many functions for this test");
	struct described *to = &d->all[d->count];
	d->names[d->count++] = strdup(name);
	to->target = to->title = "f.py:f";
	to->version = "3.11.7";
	to->ok = strncmp(name, "bad", 3) != 0;
	to->error =
		(struct described_warning){"syntax", "", "invalid syntax", "f.py", 1, 1};
	to->unit.language =
		(char *)(t->language ? t->language : describe_language(t->file));
	to->unit.path = (char *)"f.py";
	to->unit.name = t->function ? d->names[d->count - 1] : NULL;
	sha256_digest(name, strlen(name), to->unit.identity);
	to->files = &file;
	to->file_count = 1;
	to->exact = *name == 'e' || *name == 'x';
	to->parameters = parameters;
	to->parameter_count = *name == 'x' ? ARRAY_LEN(parameters) : 0;
	return 0;
}

int describer_run(struct describer *d, struct err *e)
{
	memset(d->done, true, sizeof d->done);
	return 0;
}

const struct described *describer_get(const struct describer *d, uint32_t number)
{
	return d->done[number] ? &d->all[number] : NULL;
}
