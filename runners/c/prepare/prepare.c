/* prepare.c - is a source what its client said that it is, and the library that it compiles to. Nothing of
 * it is run. */
#include "runners/c/prepare/prepare.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/pure/hex.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "runners/c/describe/describe.h"
#include "runners/c/prepare/cache.h"
#include "runners/c/prepare/compile.h"
#include "runners/c/serve/task.h"
#include "version.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SOURCE_JSON_MAX (16u << 20)

struct job {
	char folder[PATH_MAX];	  /* absolute */
	struct cashet_task reads; /* JSON is read as what tasks return is */
	struct cache cache;
	bool by_hand; /* whatever it is described as: somebody changes and debugs it */
	struct buf library; /* its path */
	const char *kind;   /* static; NULL: no error */
	struct buf message;
};

static int refuse(struct job *p, const char *kind, const char *format, ...) PRINTF(3, 4);

static int refuse(struct job *p, const char *kind, const char *format, ...)
{
	va_list args;
	if (p->kind)
		return 1;
	p->kind = kind;
	va_start(args, format);
	buf_vprintf(&p->message, format, args);
	va_end(args);
	return 1;
}

/* ---- what the client said */

/* read_json() - Return: NULL if it is none. */
static const struct cashet_arg *read_json(struct job *p, const struct buf *text)
{
	struct cashet_arg *arg = arena_alloc(&p->reads.arena, sizeof *arg);
	*arg = (struct cashet_arg){.task = &p->reads, .key = "source.json"};
	return json_value_read(&p->reads, arg, text->data, text->size) ? NULL : arg;
}

static const char *text(const struct cashet_arg *map, const char *key)
{
	return cashet_text(cashet_member(map, key));
}

static int read_source(struct job *p, const struct cashet_arg **units)
{
	CLEANUP_BUF struct buf path = {0};
	CLEANUP_BUF struct buf json = {0};
	buf_printf(&path, "%s/../source.json", p->folder);
	int status = fs_read_file(buf_cstr(&path), SOURCE_JSON_MAX, &json);
	if (status < 0)
		return refuse(p, "missing", "cannot read source.json: %s",
			      strerror(-status));
	const struct cashet_arg *all = read_json(p, &json);
	if (!all)
		return refuse(p, "missing", "source.json is no JSON");
	*units = cashet_member(all, "units");
	cashet_count(*units);
	if (p->reads.failed)
		return refuse(p, "missing", "source.json is not as it should be: %s",
			      buf_cstr(&p->reads.message));
	return 0;
}

/* ---- described again */

static int add_flags(struct job *p, const struct cashet_arg *unit, struct flags *flags)
{
	CLEANUP_BUF struct buf problem = {0};
	const struct cashet_arg *list = cashet_member(unit, "flags");
	const char *root = p->folder;
	for (size_t i = 0; i < cashet_count(list); i++)
		if (flags_add(flags, cashet_text(cashet_item(list, i)), &root, 1,
			      &problem))
			return refuse(p, "mismatch", "%s", buf_cstr(&problem));
	return 0;
}

static void add_text(const char ***list, size_t *count, size_t *capacity,
		     const char *value)
{
	mem_grow(*list, *count, *capacity);
	(*list)[(*count)++] = mem_strdup(value);
}

static int refuse_described(struct job *p, const char *name, const struct cashet_arg *row)
{
	const struct cashet_arg *error = cashet_member(row, "error");
	const struct cashet_arg *line = cashet_member(error, "line");
	const struct cashet_arg *file = cashet_member(error, "file");
	CLEANUP_BUF struct buf place = {0};
	const char *what = text(error, "name");
	if (cashet_has(file)) {
		const char *path = cashet_text(file);
		size_t size = strlen(p->folder);
		bool below = !strncmp(path, p->folder, size) && path[size] == '/';
		buf_add_str(&place, below ? path + size + 1 : path);
		if (cashet_has(line))
			buf_printf(&place, ":%d:%d", (int)cashet_int(line),
				   (int)cashet_int(cashet_member(error, "column")));
		buf_add_str(&place, ": ");
	}
	bool missing = !strcmp(what, "not-found") || !strcmp(what, "not-readable") ||
		       !strcmp(what, "not-a-file") || !strcmp(what, "no-libclang");
	return refuse(p, missing ? "missing" : "syntax",
		      "%s cannot be described here: %s%s", name, buf_cstr(&place),
		      text(error, "message"));
}

static int compare(struct job *p, const char *name, const struct cashet_arg *unit,
		   const struct cashet_arg *row)
{
	if (!cashet_bool(cashet_member(row, "ok")))
		return refuse_described(p, name, row);
	if (p->by_hand)
		return 0;
	if (cashet_count(cashet_member(unit, "packages")) > 0)
		return refuse(p, "packages",
			      "%s was described with packages, and C has none", name);
	for (int i = 0; i < 2; i++) {
		const char *key = i ? "identity" : "hash";
		const char *here = text(row, key), *there = text(unit, key);
		if (strcmp(here, there))
			return refuse(p, "mismatch",
				      "%s is not what its client said: its %s is %s "
				      "here, and %s there; "
				      "nothing was run. Are client and worker of one "
				      "version of cashet, "
				      "and machines of one kind?",
				      name, key, here, there);
	}
	return 0;
}

/* describe_again() - @rowp: the row; it is in the arena. */
static int describe_again(struct job *p, const struct cashet_arg *unit,
			  struct describe_call *call, const struct cashet_arg **rowp)
{
	CLEANUP_BUF struct buf target = {0};
	CLEANUP_BUF struct buf answer = {0};
	const char *path = text(unit, "path"), *function = text(unit, "name");
	if (p->reads.failed || !fs_path_is_inside(path))
		return refuse(p, "missing", "source.json is not as it should be: %s",
			      p->reads.failed ? buf_cstr(&p->reads.message) : "a path");
	buf_printf(&target, "%s/%s:%s", p->folder, path, function);
	add_text(&call->targets, &call->target_count, &call->target_capacity,
		 buf_cstr(&target));
	add_text(&call->roots, &call->root_count, &call->root_capacity, p->folder);
	if (add_flags(p, unit, &call->flags))
		return 1;
	describe_run(call, &answer);
	const struct cashet_arg *all = read_json(p, &answer);
	if (!all)
		return refuse(p, "syntax", "%s:%s cannot be described here", path,
			      function);
	buf_reset(&target);
	buf_printf(&target, "%s:%s", path, function);
	*rowp = cashet_item(cashet_member(all, "targets"), 0);
	return compare(p, buf_cstr(&target), unit, *rowp);
}

/* ---- the library */

static void add_line(struct buf *out, const char *line)
{
	buf_printf(out, "%zu %s\n", strlen(line), line);
}

/* add_machine() - which code it may run; with -march=native, of which processor. */
static void add_machine(struct buf *out, const struct flags *flags)
{
	struct utsname name;
	add_line(out, uname(&name) ? "" : name.machine);
	for (size_t i = 0; i < flags->count; i++) {
		CLEANUP_BUF struct buf cpu = {0};
		if (!strstr(flags->list[i], "native"))
			continue;
		fs_read_file("/proc/cpuinfo", 16u << 20, &cpu);
		const char *model = strstr(buf_cstr(&cpu), "\nflags");
		const char *end = model ? strchr(model + 1, '\n') : NULL;
		buf_add(out, model, end ? (size_t)(end - model) : 0);
		return;
	}
}

static int make_key(struct job *p, const struct cashet_arg *row,
		    const struct flags *flags, const char *function,
		    uint8_t key[DIGEST_SIZE])
{
	CLEANUP_BUF struct buf all = {0};
	CLEANUP_BUF struct buf version = {0};
	const struct cashet_arg *closure = cashet_member(row, "closure");
	if (compile_version(&version))
		return refuse(p, "compile", "%s", buf_cstr(&version));
	add_line(&all, "cashet-library 1 " CASHET_VERSION);
	add_line(&all, buf_cstr(&version));
	add_line(&all, function);
	add_line(&all, text(row, "headers"));
	add_machine(&all, flags);
	if (p->by_hand) /* its debugging information names the folder */
		add_line(&all, p->folder);
	for (size_t i = 0; i < flags->count; i++)
		if (flags_is_identity(flags->list[i]))
			add_line(&all, flags->list[i]);
	for (size_t i = 0; i < cashet_count(closure); i++) {
		add_line(&all, text(cashet_item(closure, i), "path"));
		add_line(&all, text(cashet_item(closure, i), "sha256"));
	}
	sha256_digest(all.data, all.size, key);
	return 0;
}

/* is_full() - then it is this machine's fault, not the source's. */
static bool is_full(int status, const char *said)
{
	return status == -ENOSPC || status == -EDQUOT || strstr(said, strerror(ENOSPC)) ||
	       strstr(said, strerror(EDQUOT));
}

static int refuse_full(struct job *p)
{
	return refuse(p, "full",
		      "there is no room on the disk to compile in %s, or in TMPDIR",
		      p->cache.dir);
}

/* refuse_compiler() - first the line that says what is wrong, for lists; then all of it. */
static int refuse_compiler(struct job *p, struct buf *said)
{
	/* of the linker and the assembler first: gcc adds an error of its own to theirs */
	static const char *const marks[] = {"undefined reference", "cannot find",
					    " Error: ", " error: "};
	const char *all = buf_cstr(said), *at = NULL;
	if (is_full(0, all))
		return refuse_full(p);
	for (size_t i = 0; i < ARRAY_LEN(marks) && !at; i++)
		at = strstr(all, marks[i]);
	while (at && at > all && at[-1] != '\n')
		at--;
	if (!at)
		return refuse(p, "compile", "%s", all);
	at += !strncmp(at, "./", 2) ? 2 : 0;
	return refuse(p, "compile", "%.*s\n\n%s", (int)strcspn(at, "\n"), at, all);
}

static int build(struct job *p, const struct cashet_arg *row, const struct flags *flags,
		 const char *function, const uint8_t key[DIGEST_SIZE])
{
	CLEANUP_BUF struct buf output = {0};
	CLEANUP_BUF struct buf script = {0};
	CLEANUP_BUF struct buf said = {0};
	const struct cashet_arg *closure = cashet_member(row, "closure");
	size_t count = cashet_count(closure);
	const char **sources = mem_alloc((count + 1) * sizeof *sources);
	struct compile_job c = {.folder = p->folder,
				.sources = sources,
				.flags = flags->list,
				.flag_count = flags->count,
				.by_hand = p->by_hand,
				.function = function};
	for (size_t i = 0; i < count; i++) {
		const struct cashet_arg *file = cashet_item(closure, i);
		if (cashet_bool(cashet_member(file, "compiled")))
			sources[c.source_count++] = text(file, "path");
	}
	cache_new(&p->cache, ".so", &output);
	cache_new(&p->cache, ".map", &script);
	c.output = buf_cstr(&output);
	c.script = buf_cstr(&script);
	int status = compile_run(&c, &said);
	free(sources);
	if (status)
		refuse_compiler(p, &said);
	else if ((status = cache_put(&p->cache, key, c.output, &p->library)) < 0)
		is_full(status, "")
			? refuse_full(p)
			: refuse(p, "compile", "cannot keep the library in %s: %s",
				 p->cache.dir, strerror(-status));
	if (status)
		unlink(c.output);
	return status != 0;
}

/* prepare_unit() - one function; p->library is its library. */
static int prepare_unit(struct job *p, const struct cashet_arg *unit)
{
	CLEANUP(describe_call_fini) struct describe_call call = {0};
	const struct cashet_arg *row = NULL;
	uint8_t key[DIGEST_SIZE];
	if (describe_again(p, unit, &call, &row) ||
	    make_key(p, row, &call.flags, text(unit, "name"), key))
		return 1;
	if (p->reads.failed)
		return refuse(p, "missing", "%s", buf_cstr(&p->reads.message));
	if (cache_find(&p->cache, key, &p->library))
		return 0;
	return build(p, row, &call.flags, text(unit, "name"), key);
}

static int open_cache(struct job *p, const char *dir)
{
	int status = cache_open(&p->cache, dir);
	if (is_full(status, ""))
		return refuse_full(p);
	if (status < 0)
		return refuse(
			p, "missing",
			"the folder of compiled libraries, %s, cannot be used: %s. It "
			"has to be ours, and writable by nobody else, as those that "
			"it is in; XDG_CACHE_HOME names another",
			p->cache.dir, strerror(-status));
	return 0;
}

static int prepare(struct job *p, const char *cache)
{
	const struct cashet_arg *units = NULL;
	size_t count = 0;
	if (open_cache(p, cache) || read_source(p, &units))
		return 1;
	for (size_t i = 0; i < cashet_count(units); i++) {
		const struct cashet_arg *unit = cashet_item(units, i);
		if (strcmp(text(unit, "language"), "c"))
			continue;
		count++;
		if (prepare_unit(p, unit))
			return 1;
	}
	return count ? 0 : refuse(p, "missing", "the source has no function in C");
}

/* prepare_laid_out() - what `cashet shell` has laid out in @dir: call.json is the unit. */
static int prepare_laid_out(struct job *p, const char *dir)
{
	CLEANUP_BUF struct buf path = {0};
	CLEANUP_BUF struct buf json = {0};
	p->by_hand = p->cache.anywhere = true;
	buf_printf(&path, "%s/source", dir);
	if (!realpath(buf_cstr(&path), p->folder))
		return refuse(p, "missing", "there is no folder %s", buf_cstr(&path));
	buf_reset(&path);
	buf_printf(&path, "%s/call.json", dir);
	int status = fs_read_file(buf_cstr(&path), SOURCE_JSON_MAX, &json);
	if (status < 0)
		return refuse(p, "missing", "cannot read %s: %s", buf_cstr(&path),
			      strerror(-status));
	const struct cashet_arg *unit = read_json(p, &json);
	if (!unit)
		return refuse(p, "missing", "%s is no JSON", buf_cstr(&path));
	buf_reset(&path);
	buf_printf(&path, "%s/library", dir);
	return open_cache(p, buf_cstr(&path)) || prepare_unit(p, unit);
}

static int say(struct job *p)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_init(&j, &out);
	json_object(&j);
	json_key(&j, "ok");
	json_bool(&j, !p->kind);
	if (p->kind) {
		json_key(&j, "error");
		json_object(&j);
		json_key(&j, "kind");
		json_string(&j, p->kind);
		json_key(&j, "message");
		json_string_n(&j, (const char *)p->message.data, p->message.size);
		json_end_object(&j);
	} else {
		json_key(&j, "library");
		json_string(&j, buf_cstr(&p->library));
		json_key(&j, "version");
		json_string(&j, CASHET_VERSION);
	}
	json_end_object(&j);
	buf_add_byte(&out, '\n');
	fs_write_all(STDOUT_FILENO, out.data, out.size);
	return p->kind != NULL;
}

int prepare_command(int argc, char **argv)
{
	const char *cache = NULL;
	bool laid_out = argc == 2 && !strcmp(argv[0], "--laid-out");
	if (laid_out) {
		argc--;
		argv++;
	} else if (argc >= 2 && !strcmp(argv[0], "--cache")) {
		cache = argv[1];
		argc -= 2;
		argv += 2;
	} else if (argc >= 1 && !strncmp(argv[0], "--cache=", 8)) {
		cache = argv[0] + 8;
		argc--;
		argv++;
	}
	if (argc != 1) {
		fprintf(stderr,
			"usage: cashet-runner-c prepare [--cache DIR] SOURCE_DIR\n");
		return 2;
	}
	struct job p = {0};
	if (laid_out)
		prepare_laid_out(&p, argv[0]);
	else if (!realpath(argv[0], p.folder))
		refuse(&p, "missing", "there is no folder %s", argv[0]);
	else
		prepare(&p, cache);
	int status = say(&p);
	cache_close(&p.cache);
	task_fini(&p.reads);
	buf_fini(&p.library);
	buf_fini(&p.message);
	return status;
}
