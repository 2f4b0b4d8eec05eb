/* What is in two sources that differ. */
#include "client/why_source.h"
#include "common/pure/sha256.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOBS_MAX 32

static struct {
	uint8_t digest[DIGEST_SIZE];
	char *data;
	size_t size;
} blobs[BLOBS_MAX];
static size_t blob_count;

static void put(const void *data, size_t size, uint8_t digest[DIGEST_SIZE])
{
	cr_assert(blob_count < BLOBS_MAX);
	sha256_digest(data, size, digest);
	memcpy(blobs[blob_count].digest, digest, DIGEST_SIZE);
	blobs[blob_count].data = memcpy(malloc(size + 1), data, size);
	blobs[blob_count++].size = size;
}

static void forget(void)
{
	while (blob_count)
		free(blobs[--blob_count].data);
}

static int read_blob(void *arg, bool now, bool text, const uint8_t digest[DIGEST_SIZE],
		     struct buf *out, struct err *e)
{
	(void)arg, (void)now, (void)text, (void)e;
	for (size_t i = 0; i < blob_count; i++)
		if (!memcmp(blobs[i].digest, digest, DIGEST_SIZE)) {
			buf_add(out, blobs[i].data, blobs[i].size);
			return 0;
		}
	return 1;
}

/* What a describer would say: "label kind path line" of each, whose digest is that of @meaning. */
struct defined {
	const char *label, *kind, *path;
	uint32_t line;
	const char *meaning;
};

struct made { /* a source with up to three files */
	const char *texts[3];
	const char *paths[3];
	struct defined definitions[6];
	const char *numpy; /* version, or NULL */
	const char *flag;  /* or NULL */
	const char *name;
};

static struct cashet_content make(const struct made *m)
{
	static char *flag;
	struct source_file files[3] = {0};
	struct source_definition definitions[6] = {0};
	struct source_package package = {
		.name = (char *)"numpy", .version = (char *)m->numpy, .counts = true};
	struct source_unit unit = {.language = (char *)"python",
				   .path = (char *)m->paths[0],
				   .name = (char *)m->name,
				   .packages = &package,
				   .package_count = m->numpy ? 1 : 0,
				   .flags = &flag,
				   .flag_count = m->flag ? 1 : 0,
				   .definitions = definitions};
	struct source s = {.files = files, .units = &unit, .unit_count = 1};
	struct cashet_content content = {.type = CASHET_CONTENT_FILE};
	CLEANUP_BUF struct buf blob = {0};
	flag = (char *)m->flag;
	for (size_t i = 0; i < 3 && m->paths[i]; i++) {
		struct source_file *f = &files[s.file_count++];
		f->path = (char *)m->paths[i];
		f->size = strlen(m->texts[i]);
		put(m->texts[i], f->size, f->digest);
	}
	for (size_t i = 0; i < 6 && m->definitions[i].label; i++) {
		const struct defined *from = &m->definitions[i];
		struct source_definition *d = &definitions[unit.definition_count++];
		*d = (struct source_definition){.label = (char *)from->label,
						.kind = (char *)from->kind,
						.path = (char *)from->path,
						.line = from->line};
		sha256_digest(from->meaning, strlen(from->meaning), d->digest);
	}
	source_encode(&blob, &s);
	put(blob.data, blob.size, content.digest);
	return content;
}

/* All that is told, "component name where before>after how;" of each but of the source itself. */
static const char *told(const struct made *old, const struct made *now,
			enum cashet_how how, const char *code)
{
	static char text[2048];
	const struct source_reader reader = {.read = read_blob};
	struct cashet_change *changes = calloc(2, sizeof *changes);
	struct texts texts = {0};
	struct err e = {0};
	size_t count = 0;
	if (code)
		changes[count++] = (struct cashet_change){.component = CASHET_CODE,
							  .how = CASHET_CHANGED,
							  .name = code,
							  .before = "python",
							  .after = "python",
							  .where = "",
							  .origin_name = ""};
	changes[count++] = (struct cashet_change){.component = CASHET_SOURCE,
						  .how = how,
						  .name = "",
						  .before = "",
						  .after = "",
						  .where = "",
						  .origin_name = "",
						  .old = make(old),
						  .now = make(now)};
	cr_assert_eq(source_changes(&changes, &count, &texts, &reader, true, &e), 0);
	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		const struct cashet_change *c = &changes[i];
		if (c->component == CASHET_SOURCE)
			continue;
		size_t at = strlen(text);
		snprintf(text + at, sizeof text - at, "%d %s [%s] %s>%s %d%s; ",
			 (int)c->component, c->name, c->where, c->before, c->after,
			 (int)c->how, c->diff ? " diff" : "");
	}
	free(changes);
	texts_fini(&texts);
	forget();
	return text;
}

#define TRAIN                                                                            \
	"import helpers\n"                                                               \
	"\n"                                                                             \
	"# careful\n"                                                                    \
	"@cached\n"                                                                      \
	"def train(\n"                                                                   \
	"    lr,\n"                                                                      \
	"):\n"                                                                           \
	"    # twice\n"                                                                  \
	"    return helpers.scale(lr) * 2\n"                                             \
	"\n"                                                                             \
	"def other():\n"                                                                 \
	"    return 1\n"

static const struct made base = {
	.texts = {TRAIN, "FACTOR = 2\n\n\ndef scale(x):\n    return FACTOR * x\n"},
	.paths = {"train.py", "helpers.py"},
	.definitions = {{"train", "function", "train.py", 4, "t"},
			{"scale", "function", "helpers.py", 4, "s"},
			{"FACTOR", "variable", "helpers.py", 1, "2"}},
	.name = "train"};

Test(source, a_definition_that_changed_is_named_with_its_lines)
{
	struct made now = base;
	now.texts[1] =
		"FACTOR = 3\n\n\ndef scale(x):\n    # a comment\n    return FACTOR * x\n";
	now.definitions[2].meaning = "3";
	cr_assert_str_eq(told(&base, &now, CASHET_CHANGED, NULL),
			 "13 FACTOR [helpers.py:FACTOR  line 1 changed] > 1 diff; ");
	now = base;
	now.texts[0] =
		"import helpers\n\n\n@cached\ndef train(\n    lr,\n):\n    # thrice\n"
		"    return helpers.scale(lr) * 3\n\ndef other():\n    return 2\n";
	now.definitions[0].meaning = "t2";
	cr_assert_str_eq(told(&base, &now, CASHET_CHANGED, NULL),
			 "13 train [train.py:train()  lines 8-9 changed] > 1 diff; ");
}

Test(source, definitions_come_and_go_and_move)
{
	struct made now = base;
	now.definitions[2] = (struct defined){"LIMIT", "variable", "helpers.py", 1, "l"};
	cr_assert_str_eq(told(&base, &now, CASHET_CHANGED, NULL),
			 "13 FACTOR [helpers.py:FACTOR  is gone] > 3; "
			 "13 LIMIT [helpers.py:LIMIT  is new] > 2; ");
	/* moved within its file: that is no change, and the file differs in nothing that counts */
	now = base;
	now.texts[1] = "\n\nFACTOR = 2\n\n\ndef scale(x):\n    return FACTOR * x\n";
	now.definitions[1].line = 6;
	now.definitions[2].line = 3;
	cr_assert_str_eq(told(&base, &now, CASHET_SAME, NULL),
			 "16 helpers.py [] > 1 diff; ");
}

Test(source, packages_and_flags_are_named)
{
	struct made old = base, now = base;
	old.numpy = "1.0";
	now.numpy = "2.0";
	old.flag = "-O2";
	now.flag = "-O3";
	cr_assert_str_eq(told(&old, &now, CASHET_CHANGED, NULL),
			 "14 numpy [] 1.0>2.0 1; 15  [] -O2>-O3 1; ");
	now.numpy = NULL;
	now.flag = "-O2";
	cr_assert_str_eq(told(&old, &now, CASHET_CHANGED, NULL), "14 numpy [] 1.0> 3; ");
}

Test(source, what_no_part_tells_is_told_as_a_whole)
{
	struct made now = base;
	now.texts[0] = TRAIN "\n";
	cr_assert_str_eq(told(&base, &now, CASHET_CHANGED, NULL),
			 "5 train.py [train.py:train changed] > 1; ");
}

Test(source, code_of_a_command_is_told_with_what_it_reaches)
{
	struct made old = base, now = base;
	old.name = now.name = NULL;
	old.definitions[0] = (struct defined){"script", "script", "train.py", 1, "a"};
	now.definitions[0] = (struct defined){"script", "script", "train.py", 1, "b"};
	now.texts[0] = "import helpers\n\n# careful\n@cached\ndef train(\n    lr,\n):\n"
		       "    # twice\n    return helpers.scale(lr) * 4\n";
	now.texts[1] = "FACTOR = 2\n\n\ndef scale(x):\n    return x\n";
	now.definitions[1].meaning = "s2";
	cr_assert_str_eq(told(&old, &now, CASHET_SAME, "train.py"),
			 "5 train.py [train.py  line 9 changed] python>python 1 diff; "
			 "13 scale [helpers.py:scale()  line 5 changed] > 1 diff; ");
}

/* A source that is gone, or is none. */
Test(source, what_is_not_there_is_said)
{
	const struct source_reader reader = {.read = read_blob};
	struct cashet_change *changes = calloc(1, sizeof *changes);
	struct texts texts = {0};
	struct err e = {0};
	size_t count = 1;
	changes[0] = (struct cashet_change){
		.component = CASHET_SOURCE, .how = CASHET_CHANGED, .now = make(&base)};
	changes[0].old.type = CASHET_CONTENT_FILE;
	put("no source", 9, changes[0].old.digest);
	cr_assert_eq(source_changes(&changes, &count, &texts, &reader, false, &e), 0);
	cr_assert_eq(count, 2);
	cr_assert(changes[1].component == CASHET_CODE &&
		  strstr(changes[1].where, "not in the store"));
	free(changes);
	texts_fini(&texts);
	forget();
}
