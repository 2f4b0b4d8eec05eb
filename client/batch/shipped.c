/* shipped.c - see shipped.h. */
#include "client/batch/shipped.h"

#include "client/batch/source.h"
#include "common/format/c_tokens.h"
#include "common/fs.h"
#include "common/pure/sha256.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 200
#define SAID_MAX 20 /* warnings of a batch */

int shipping_init(struct shipping *s, const struct describe_options *options,
		  struct err *e)
{
	struct describe_options ours = *options;
	ours.folder = s->files->folder;
	return describer_new(&s->describer, &ours, e);
}

void shipping_fini(struct shipping *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		free(s->items[i]->blob);
		free(s->items[i]->units);
		free(s->items[i]);
	}
	free(s->items);
	map_fini(&s->known);
	map_fini(&s->warned);
	describer_free(s->describer);
	*s = (struct shipping){0};
}

void shipping_begin(struct shipping *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		s->items[i]->uploaded = false;
}

/* ---- warnings */

/* is_new() - has nothing been said of @what before? Out of memory it is said twice. */
static bool is_new(struct shipping *s, const char *what)
{
	size_t size = strlen(what);
	if (map_find(&s->warned, what, size))
		return false;
	const char *kept = arena_text(&s->files->arena, what, size);
	if (kept)
		(void)map_put(&s->warned, kept, size, 0);
	return true;
}

/* say() - what is shared by many files is said once, and no more than can be read. */
static void say(struct shipping *s, struct buf *text)
{
	const char *line = buf_cstr(text);
	if (text->failed || !s->warn || s->said > SAID_MAX || !is_new(s, line))
		return;
	if (s->said++ == SAID_MAX)
		line = "there are more warnings: cashet describe FILE shows those of one "
		       "file";
	s->warn(s->warn_arg, line);
}

void shipping_warn(struct shipping *s, const struct described *d)
{
	CLEANUP_BUF struct buf text = {0};
	if (!d->warning_count || !is_new(s, d->target))
		return;
	for (size_t i = 0; i < d->warning_count; i++) {
		const struct described_warning *w = &d->warnings[i];
		buf_reset(&text);
		buf_printf(&text, "%.*s", SHOWN, *w->file ? w->file : d->target);
		if (w->line)
			buf_printf(&text, ":%u", w->line);
		if (w->line && w->column)
			buf_printf(&text, ":%u", w->column);
		buf_printf(&text, ": %s", w->message);
		say(s, &text);
	}
}

/* Of a file that is hashed by its bytes though it looks like code. */
static void warn_bytes(struct shipping *s, const struct spec_code *code, const char *why)
{
	CLEANUP_BUF struct buf text = {0};
	if (!is_new(s, code->file->full_path))
		return;
	buf_printf(&text, "%.*s is hashed by its bytes, comments too: %s", SHOWN,
		   code->path, why);
	say(s, &text);
}

static void warn_no_program(struct shipping *s, const struct spec_code *code,
			    const char *why)
{
	CLEANUP_BUF struct buf text = {0};
	if (s->no_program)
		return;
	s->no_program = true;
	buf_printf(&text,
		   "%.*s and other scripts are hashed by their bytes, comments too, and "
		   "what they "
		   "import is not shipped: %s",
		   SHOWN, code->path, why);
	say(s, &text);
}

/* ---- schemes */

bool shipped_is_script(const char *name)
{
	size_t size = strlen(name);
	return size > 3 && !strcmp(name + size - 3, ".py");
}

bool shipped_crowded(struct shipping *s, const struct files_item *item, const char *path)
{
	uint32_t scripts = 0;
	for (uint32_t i = 0; i < item->count; i++)
		scripts += shipped_is_script(item->members[i].full_path);
	if (scripts <= SHIPPED_SCRIPTS_MAX)
		return false;
	CLEANUP_BUF struct buf text = {0};
	buf_printf(&text,
		   "\"%.*s\" has %u scripts, more than %d: they are hashed by their "
		   "bytes, comments too",
		   SHOWN, path, scripts, SHIPPED_SCRIPTS_MAX);
	say(s, &text);
	return true;
}

static uint8_t scheme_of(const struct spec_code *code)
{
	static const struct {
		const char *end;
		enum code_scheme scheme;
	} rows[] = {{".py", CODE_PYTHON}, {".c", CODE_C},   {".h", CODE_C},
		    {".cc", CODE_C},	  {".cpp", CODE_C}, {".hpp", CODE_C}};
	const char *name = code->file->full_path, *slash = strrchr(name, '/');
	size_t size = strlen(slash ? slash + 1 : name);
	name = slash ? slash + 1 : name;
	for (size_t i = 0; !code->by_bytes && i < ARRAY_LEN(rows); i++) {
		size_t end = strlen(rows[i].end);
		if (size > end && !strcmp(name + size - end, rows[i].end))
			return rows[i].scheme;
	}
	return CODE_BYTES;
}

static void set_bytes(struct spec_code *code)
{
	code->scheme = CODE_BYTES;
	memcpy(code->digest, code->file->content.digest, DIGEST_SIZE);
}

void shipped_bytes(struct spec_code *code, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		set_bytes(&code[i]);
}

static int want_script(struct shipping *s, const struct spec_code *code,
		       uint32_t *numberp, struct err *e)
{
	struct describe_target target = {.language = "python",
					 .file = code->file->full_path};
	return describer_want(s->describer, &target, numberp, e);
}

int shipped_want(struct shipping *s, const struct spec_code *code, uint32_t count,
		 struct err *e)
{
	uint32_t unused;
	int r = 0;
	for (uint32_t i = 0; !r && i < count; i++)
		if (scheme_of(&code[i]) == CODE_PYTHON)
			r = want_script(s, &code[i], &unused, e);
	return r;
}

/* Return: 0, ERR_*; *@okp: it has tokens. */
static int lex(struct files_member *m, bool *okp, struct c_tokens_error *why,
	       struct err *e)
{
	CLEANUP_BUF struct buf text = {0};
	uint8_t digest[DIGEST_SIZE];
	*okp = m->has_tokens;
	if (m->has_tokens || m->no_tokens)
		return 0;
	int r = fs_read_file(m->full_path, C_TOKENS_SIZE_MAX, &text);
	if (r == -ENOMEM || text.failed)
		return source_no_memory(e);
	if (r && r != -EFBIG)
		return err_set(e, ERR_USAGE, "\"%.400s\" cannot be read: %s",
			       m->full_path, strerror(-r));
	sha256_digest(text.data, text.size, digest);
	if (!r && memcmp(digest, m->content.digest, DIGEST_SIZE))
		return err_set(e, ERR_USAGE, "\"%.400s\" changes while it is being read",
			       m->full_path);
	if (r)
		strcpy(why->what, "it is too large");
	else
		*okp = !c_tokens_digest(text.data, text.size, m->tokens, why);
	m->has_tokens = *okp;
	m->no_tokens = !*okp;
	return 0;
}

static int set_tokens(struct shipping *s, struct spec_code *code, struct err *e)
{
	struct c_tokens_error why = {.what = ""};
	char text[160];
	bool ok;
	int r = lex(code->file, &ok, &why, e);
	if (r)
		return r;
	if (!ok) {
		if (why.line)
			snprintf(text, sizeof text, "line %u, column %u: %s", why.line,
				 why.column, why.what);
		else
			snprintf(text, sizeof text, "%s", why.what);
		warn_bytes(s, code, text);
		set_bytes(code);
		return 0;
	}
	code->scheme = CODE_C;
	memcpy(code->digest, code->file->tokens, DIGEST_SIZE);
	return 0;
}

static int set_python(struct shipping *s, struct spec_code *code,
		      const struct described **unitp, struct err *e)
{
	uint32_t number;
	int r = want_script(s, code, &number, e);
	*unitp = r ? NULL : describer_get(s->describer, number);
	if (!r && !*unitp && !(r = describer_run(s->describer, e)))
		*unitp = describer_get(s->describer, number);
	if (r)
		return r;
	const struct described *d = *unitp;
	if (d->ok) {
		shipping_warn(s, d);
		code->scheme = CODE_PYTHON;
		memcpy(code->digest, d->unit.identity, DIGEST_SIZE);
		return 0;
	}
	struct err why = {0};
	describe_fail(d, &why);
	if (d->no_program)
		warn_no_program(s, code, why.what);
	else
		warn_bytes(s, code, why.what);
	*unitp = NULL;
	set_bytes(code);
	return 0;
}

/* ---- sources */

static struct shipped *find(struct shipping *s, const uint8_t key[DIGEST_SIZE])
{
	uint32_t *number = map_find(&s->known, key, DIGEST_SIZE);
	return number ? s->items[*number] : NULL;
}

static struct shipped *add(struct shipping *s, const uint8_t key[DIGEST_SIZE],
			   size_t units)
{
	if (s->count == s->capacity) {
		uint32_t capacity = s->capacity ? 2 * s->capacity : 16;
		struct shipped **items = realloc(s->items, capacity * sizeof *items);
		if (!items)
			return NULL;
		s->items = items;
		s->capacity = capacity;
	}
	struct shipped *item = calloc(1, sizeof *item);
	const char *kept = arena_text(&s->files->arena, (const char *)key, DIGEST_SIZE);
	if (item)
		item->units = calloc(units + 1, sizeof *item->units);
	if (!item || !kept || !item->units ||
	    map_put(&s->known, kept, DIGEST_SIZE, s->count)) {
		if (item)
			free(item->units);
		free(item);
		return NULL;
	}
	item->unit_count = units;
	s->items[s->count++] = item;
	return item;
}

static int make_blob(struct shipped *item, const struct describe_source *source,
		     struct err *e)
{
	CLEANUP_BUF struct buf out = {0};
	int r = describe_source(&out, item->digest, source, e);
	if (r)
		return r;
	item->blob = buf_steal(&out, &item->size);
	return item->blob ? 0 : source_no_memory(e);
}

int shipped_order(const void *a, const void *b)
{
	const struct spec_code *x = a, *y = b;
	return strcmp(x->path, y->path);
}

/* prefix_of() - where the files of a script are laid out, so that they lie around it as they do
 * here: the folder of the script, which is where its imports begin. */
static const char *prefix_of(struct shipping *s, const struct spec_code *code)
{
	const char *slash = strrchr(code->path, '/');
	return arena_text(&s->files->arena, code->path,
			  slash ? (size_t)(slash - code->path) + 1 : 0);
}

/* renamed() - of a script that is laid out under another name than it has here. Return: @d or a
 * copy; NULL: out of memory. */
static const struct described *renamed(struct shipping *s, const struct spec_code *code,
				       const struct described *d)
{
	struct arena *arena = &s->files->arena;
	const char *slash = strrchr(code->path, '/');
	const char *name = slash ? slash + 1 : code->path, *old = d->unit.path;
	if (!strcmp(name, old))
		return d;
	struct described *copy = arena_alloc(arena, sizeof *copy);
	struct described_file *files = arena_calloc(arena, d->file_count, sizeof *files);
	struct source_definition *all =
		arena_calloc(arena, d->unit.definition_count, sizeof *all);
	if (!copy || !files || !all)
		return NULL;
	*copy = *d;
	copy->unit.path = (char *)name;
	copy->unit.definitions = all;
	copy->files = files;
	for (size_t i = 0; i < d->file_count; i++) {
		files[i] = d->files[i];
		if (!strcmp(files[i].path, old))
			files[i].path = name;
	}
	for (size_t i = 0; i < d->unit.definition_count; i++) {
		all[i] = d->unit.definitions[i];
		if (!strcmp(all[i].path, old))
			all[i].path = (char *)name;
	}
	return copy;
}

struct gathered {
	const struct described **units;
	const struct spec_code **scripts; /* of each unit */
	const char **prefixes; /* set once it is known that the source is new */
	struct source_file *files;
	size_t unit_count, file_count;
};

static void gathered_fini(struct gathered *g)
{
	free(g->units);
	free(g->scripts);
	free(g->prefixes);
	free(g->files);
}

static void key_of(const struct spec_code *code, uint32_t count, uint8_t key[DIGEST_SIZE])
{
	struct sha256 sha;
	sha256_init(&sha);
	for (uint32_t i = 0; i < count; i++) {
		const struct spec_code *c = &code[i];
		sha256_update(&sha, c->path, strlen(c->path) + 1);
		sha256_update(&sha, &c->scheme, 1);
		sha256_update(&sha, c->digest, DIGEST_SIZE);
		sha256_update(&sha, c->file->full_path, strlen(c->file->full_path) + 1);
		sha256_update(&sha, &c->file->content, sizeof c->file->content);
	}
	sha256_final(&sha, key);
}

/* What is hashed by bytes is laid out as well, and must not be in the way. */
static int check_bytes(const struct spec_code *code, uint32_t count,
		       const struct gathered *g, struct err *e)
{
	CLEANUP_BUF struct buf path = {0};
	for (size_t i = 0; i < g->unit_count; i++)
		for (size_t k = 0; k < g->units[i]->file_count; k++) {
			const struct described_file *f = &g->units[i]->files[k];
			buf_reset(&path);
			buf_printf(&path, "%s%s", g->prefixes[i], f->path);
			struct spec_code wanted = {.path = buf_cstr(&path)};
			if (path.failed)
				return source_no_memory(e);
			const struct spec_code *found = bsearch(
				&wanted, code, count, sizeof *code, shipped_order);
			if (!found ||
			    !memcmp(found->file->content.digest, f->digest, DIGEST_SIZE))
				continue;
			err_set(e, ERR_USAGE,
				"\"%.200s\" would be both \"%.200s\" and \"%.200s\", "
				"which "
				"%.100s imports",
				wanted.path, found->file->full_path, f->full_path,
				g->units[i]->title);
			err_next(e,
				 "lay one of them out elsewhere: {path: ..., as: ...}");
			return ERR_USAGE;
		}
	return 0;
}

static int set_places(struct shipping *s, struct gathered *g, struct err *e)
{
	for (size_t i = 0; i < g->unit_count; i++) {
		g->prefixes[i] = prefix_of(s, g->scripts[i]);
		g->units[i] = renamed(s, g->scripts[i], g->units[i]);
		if (!g->prefixes[i] || !g->units[i])
			return source_no_memory(e);
	}
	return 0;
}

static int make_source(struct shipping *s, const struct spec_code *code, uint32_t count,
		       struct gathered *g, struct shipped **shippedp, struct err *e)
{
	uint8_t key[DIGEST_SIZE];
	key_of(code, count, key);
	if ((*shippedp = find(s, key)))
		return 0;
	int r = set_places(s, g, e);
	if (!r)
		r = check_bytes(code, count, g, e);
	if (r)
		return r;
	struct describe_source source = {.units = g->units,
					 .unit_count = g->unit_count,
					 .files = g->files,
					 .file_count = g->file_count,
					 .prefixes = g->prefixes};
	struct shipped *item = add(s, key, g->unit_count);
	if (!item)
		return source_no_memory(e);
	if (g->unit_count)
		memcpy(item->units, g->units, g->unit_count * sizeof *g->units);
	*shippedp = item;
	return make_blob(item, &source, e);
}

static int gather(struct shipping *s, struct spec_code *code, uint32_t count,
		  struct gathered *g, struct err *e)
{
	int r = 0;
	for (uint32_t i = 0; !r && i < count; i++) {
		const struct described *d = NULL;
		switch ((enum code_scheme)scheme_of(&code[i])) {
		case CODE_PYTHON:
			r = set_python(s, &code[i], &d, e);
			break;
		case CODE_C:
			r = set_tokens(s, &code[i], e);
			break;
		case CODE_BYTES:
			set_bytes(&code[i]);
			break;
		}
		if (r || code[i].scheme == CODE_BYTES)
			continue;
		struct source_file *f = &g->files[g->file_count++];
		f->path = (char *)code[i].path;
		f->executable = code[i].file->content.type == CONTENT_EXEC;
		f->size = code[i].file->size;
		memcpy(f->digest, code[i].file->content.digest, DIGEST_SIZE);
		if (!d)
			continue;
		g->scripts[g->unit_count] = &code[i];
		g->units[g->unit_count++] = d;
	}
	return r;
}

int shipped_code(struct shipping *s, struct spec_code *code, uint32_t count,
		 struct shipped **shippedp, struct err *e)
{
	*shippedp = NULL;
	if (!count)
		return 0;
	CLEANUP(gathered_fini)
	struct gathered g = {.units = calloc(count, sizeof *g.units)};
	g.scripts = calloc(count, sizeof *g.scripts);
	g.prefixes = calloc(count, sizeof *g.prefixes);
	g.files = calloc(count, sizeof *g.files);
	if (!g.units || !g.scripts || !g.prefixes || !g.files)
		return source_no_memory(e);
	int r = shipped_want(s, code, count, e);
	if (!r)
		r = gather(s, code, count, &g, e);
	if (r || !g.file_count)
		return r;
	return make_source(s, code, count, &g, shippedp, e);
}

int shipped_call(struct shipping *s, uint32_t number, struct shipped **shippedp,
		 struct err *e)
{
	uint8_t key[DIGEST_SIZE] = "call";
	memcpy(key + 8, &number, sizeof number);
	if ((*shippedp = find(s, key)))
		return 0;
	const struct described *d = describer_get(s->describer, number);
	struct describe_source source = {.units = &d, .unit_count = 1};
	struct shipped *item = add(s, key, 1);
	if (!item)
		return source_no_memory(e);
	item->units[0] = d;
	*shippedp = item;
	return make_blob(item, &source, e);
}

int shipped_upload(struct shipped *s, struct builder *b, struct err *e)
{
	if (s->uploaded)
		return 0;
	s->uploaded = true;
	int r = 0;
	for (size_t i = 0; !r && i < s->unit_count; i++)
		r = describe_upload(s->units[i], b, e);
	struct builder_upload blob = {.data = s->blob, .size = s->size};
	memcpy(blob.digest, s->digest, DIGEST_SIZE);
	return r ? r : builder_upload(b, &blob, e);
}
