/* lay_out_call.c - a call laid out by hand: its source in source/, what its arguments name in data/,
 * the arguments as JSON in call.json. call.py calls a function in Python with them as a runner would:
 * what a reference stands for is read, and unpickled behind the import of its module. One in C is
 * compiled and called by `cashet-runner-c run`, which reads the same.
 *
 * call.json: {"path", "name", "flags", "args", "kwargs"}. A value that JSON has is itself; an object has one
 * key and says what else it is: {"map": {...}}, {"float": "0.5"}, {"hex": ...}, {"text": HEX} for one
 * with a NUL, and of what was read {"bytes": FILE}, {"json": FILE}, {"pickle": FILE}, {"path": PATH}, {"map": {...}} of outputs. */
#include "client/lay_out.h"
#include "client/program.h"

#include "common/fs.h"
#include "common/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char program[] =
	"# Calls the function as it was called: with what is in call.json.\n"
	"import asyncio, importlib, inspect, json, os, pathlib, pickle, sys\n"
	"\n"
	"here = os.path.dirname(os.path.abspath(__file__))\n"
	"sys.path[0] = os.path.join(here, 'source')\n"
	"\n"
	"\n"
	"def read(path):\n"
	"    with open(os.path.join(here, path), 'rb') as f:\n"
	"        return f.read()\n"
	"\n"
	"\n"
	"KINDS = {\n"
	"    'map': lambda x: {k: value(v) for k, v in x.items()},\n"
	"    'float': float,\n"
	"    'hex': bytes.fromhex,\n"
	"    'text': lambda x: bytes.fromhex(x).decode(),\n"
	"    'bytes': read,\n"
	"    'json': lambda path: json.loads(read(path)),\n"
	"    'pickle': lambda path: pickle.loads(read(path)),\n"
	"    'path': lambda path: pathlib.Path(here, path),\n"
	"}\n"
	"\n"
	"\n"
	"def value(v):\n"
	"    if isinstance(v, list):\n"
	"        return [value(x) for x in v]\n"
	"    if isinstance(v, dict):\n"
	"        [(kind, x)] = v.items()\n"
	"        return KINDS[kind](x)\n"
	"    return v\n"
	"\n"
	"\n"
	"call = json.loads(read('call.json'))\n"
	"name = call['path'][:-3].replace('/', '.')\n"
	"module = importlib.import_module(name[:-9] if name.endswith('.__init__') else "
	"name)\n"
	"function = getattr(module, call['name'])\n"
	"result = function(*map(value, call['args']),\n"
	"                  **{k: value(v) for k, v in call['kwargs'].items()})\n"
	"if inspect.iscoroutine(result):\n"
	"    result = asyncio.run(result)\n"
	"print(repr(result))\n";

struct writer {
	struct lay_out *l;
	struct json *j;
	const struct input_paths *inputs;
	struct err *e;
	int rc;
};

/* ---- what references stand for ---- */

static void one(struct writer *w, const char *kind, const char *path)
{
	CLEANUP_BUF struct buf full = {0};
	buf_printf(&full, "%s%s", *path == '/' ? "" : "data/", path);
	json_object(w->j);
	json_key(w->j, kind);
	json_string(w->j, buf_cstr(&full));
	json_end_object(w->j);
}

static int read_blob(struct writer *w, const uint8_t *digest, struct buf *out)
{
	int r = why_read(w->l->c, digest, out, w->e);
	if (r == 1)
		r = err_set(w->e, ERR_NOT_FOUND,
			    "a list that it reads is not in the store any more");
	return w->rc = r;
}

/* Of a task with declared outputs: laid out in one folder. */
static void write_outputs(struct writer *w, const uint8_t *digest, const char *folder)
{
	CLEANUP_BUF struct buf data = {0};
	struct content_entries entries = {0};
	if (read_blob(w, digest, &data) ||
	    content_decode_result(data.data, data.size, &entries))
		return;
	json_object(w->j);
	json_key(w->j, "map");
	json_object(w->j);
	for (size_t i = 0; i < entries.count; i++) {
		CLEANUP_BUF struct buf path = {0};
		bool tree = entries.items[i].content.type == CONTENT_TREE;
		buf_printf(&path, "%s/%s", folder, entries.items[i].path);
		json_key(w->j, entries.items[i].name);
		one(w, tree ? "path" : "bytes", buf_cstr(&path));
	}
	json_end_object(w->j);
	json_end_object(w->j);
	content_entries_fini(&entries);
}

static void write_content(struct writer *w, const struct content *content,
			  const char *path)
{
	switch ((enum content_type)content->type) {
	case CONTENT_FILE:
	case CONTENT_EXEC:
		one(w, "bytes", path);
		return;
	case CONTENT_JSON:
		one(w, "json", path);
		return;
	case CONTENT_PICKLE:
		one(w, "pickle", path);
		return;
	case CONTENT_RESULT:
		write_outputs(w, content->digest, path);
		return;
	case CONTENT_TREE:
	case CONTENT_EXTERN:
	case CONTENT_LIST:
	case CONTENT_DIR:
	case CONTENT_NONE:
		break;
	}
	one(w, "path", path);
}

static void write_list(struct writer *w, const struct content *list,
		       const struct input_paths *paths)
{
	CLEANUP_BUF struct buf data = {0};
	if (read_blob(w, list->digest, &data))
		return;
	json_array(w->j);
	for (size_t i = 0; i < paths->count && (i + 1) * CONTENT_SIZE <= data.size; i++) {
		struct content member;
		memcpy(&member, data.data + i * CONTENT_SIZE, CONTENT_SIZE);
		write_content(w, &member, paths->paths[i]);
	}
	json_end_array(w->j);
}

static void write_input(struct writer *w, const struct arg *a)
{
	const struct args *args = &w->l->args;
	size_t i = 0;
	while (i + 1 < args->input_count && args->inputs[i].offset != a->offset)
		i++;
	const struct input_paths *paths = &w->inputs[i];
	if (a->type == ARG_REF && a->content.type == CONTENT_LIST)
		write_list(w, &a->content, paths);
	else if (a->type == ARG_REF)
		write_content(w, &a->content, paths->count ? paths->paths[0] : "");
	else
		one(w, "path", paths->count ? paths->paths[0] : "");
}

/* ---- values ---- */

static void write_float(struct writer *w, double d)
{
	char text[48];
	if (isfinite(d)) { /* as Python reads it: 1.0 is no integer */
		snprintf(text, sizeof text, "%.17g", d);
		if (!strpbrk(text, ".e"))
			strcat(text, ".0");
	} else {
		snprintf(text, sizeof text, isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
	}
	json_object(w->j);
	json_key(w->j, "float");
	json_string(w->j, text);
	json_end_object(w->j);
}

static void write_value(struct writer *w, const struct arg *a);

static void write_items(struct writer *w, const struct arg *items, size_t count)
{
	json_object(w->j);
	for (size_t i = 0; i < count; i++) {
		json_key(w->j, items[i].name);
		write_value(w, &items[i]);
	}
	json_end_object(w->j);
}

static void write_hex(struct writer *w, const char *kind, const struct arg *a)
{
	json_object(w->j);
	json_key(w->j, kind);
	json_hex(w->j, a->data, a->size);
	json_end_object(w->j);
}

static void write_value(struct writer *w, const struct arg *a)
{
	switch (a->type) {
	case ARG_NULL:
		json_null(w->j);
		return;
	case ARG_BOOL:
		json_bool(w->j, a->boolean);
		return;
	case ARG_INT:
		json_int(w->j, a->i);
		return;
	case ARG_FLOAT:
		write_float(w, a->d);
		return;
	case ARG_TEXT:
		if (strlen(a->data) == a->size)
			json_string_n(w->j, a->data, a->size);
		else
			write_hex(w, "text", a);
		return;
	case ARG_BYTES:
		write_hex(w, "hex", a);
		return;
	case ARG_LIST:
		json_array(w->j);
		for (size_t i = 0; i < a->count; i++)
			write_value(w, &a->items[i]);
		json_end_array(w->j);
		return;
	case ARG_MAP:
		json_object(w->j);
		json_key(w->j, "map");
		write_items(w, a->items, a->count);
		json_end_object(w->j);
		return;
	case ARG_REF:
	case ARG_FILE:
		write_input(w, a);
		return;
	}
}

/* ---- files ---- */

static int put_file(const struct lay_out *l, const char *name, const void *data,
		    size_t size, struct err *e)
{
	char *path;
	if (asprintf(&path, "%s/%s", l->dir, name) < 0)
		return handle_no_memory(e);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int r = fd < 0 ? -errno : fs_write_all(fd, data, size);
	if (fd >= 0 && close(fd) < 0 && r == 0)
		r = -errno;
	if (r)
		err_set(e, ERR_FAILED, "%s cannot be written: %s", path, strerror(-r));
	free(path);
	return r ? ERR_FAILED : 0;
}

static int write_call(struct lay_out *l, const struct input_paths *inputs, struct err *e)
{
	const struct source_unit *unit = &l->source.units[0];
	const struct call_args *call = l->args.call;
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	struct writer w = {.l = l, .j = &j, .inputs = inputs, .e = e};
	json_init(&j, &out);
	json_object(&j);
	json_key(&j, "path");
	json_string(&j, unit->path);
	json_key(&j, "name");
	json_string(&j, unit->name ? unit->name : "");
	json_key(&j, "flags");
	json_array(&j);
	for (size_t i = 0; i < unit->flag_count; i++)
		json_string(&j, unit->flags[i]);
	json_end_array(&j);
	json_key(&j, "args");
	json_array(&j);
	for (size_t i = 0; i < call->positional_count && !w.rc; i++)
		write_value(&w, &call->positional[i]);
	json_end_array(&j);
	json_key(&j, "kwargs");
	write_items(&w, call->keywords, call->keyword_count);
	json_end_object(&j);
	buf_add_byte(&out, '\n');
	if (w.rc)
		return w.rc;
	return out.failed ? handle_no_memory(e)
			  : put_file(l, "call.json", out.data, out.size, e);
}

/* Names of data/inputs/: the numbers of the references, in the order of the bytes. */
static char **numbers(size_t count)
{
	char **names = calloc(count + 1, sizeof *names);
	for (size_t i = 0; names && i < count; i++)
		if (asprintf(&names[i], "%zu", i) < 0) {
			names[i] = NULL;
			break;
		}
	return names;
}

static int subfolder(const struct lay_out *l, const char *name, char **pathp,
		     struct err *e)
{
	if (asprintf(pathp, "%s/%s", l->dir, name) < 0)
		return handle_no_memory(e);
	return mkdir(*pathp, 0777) < 0 ? err_set(e, ERR_FAILED, "%s cannot be made: %s",
						 *pathp, strerror(errno))
				       : 0;
}

static int place_data(struct lay_out *l, struct layout *layout, struct err *e)
{
	char **names = numbers(l->args.input_count), *dir = NULL;
	struct function reading = {.inputs = names, .input_count = l->args.input_count};
	int r = names ? subfolder(l, "data", &dir, e) : handle_no_memory(e);
	if (!r)
		r = lay_out_place(l, &reading, &l->args, NULL, dir, layout, e);
	if (!r)
		r = write_call(l, layout->inputs, e);
	if (layout->function)
		layout_fini(layout);
	for (size_t i = 0; names && i < l->args.input_count; i++)
		free(names[i]);
	free(names);
	free(dir);
	return r;
}

static int place_source(struct lay_out *l, struct layout *layout, struct err *e)
{
	struct args none = {0};
	char *dir = NULL;
	int r = subfolder(l, "source", &dir, e);
	if (!r)
		r = lay_out_place(l, &l->function, &none, &l->source, dir, layout, e);
	if (layout->function)
		layout_fini(layout);
	free(dir);
	return r;
}

int lay_out_call(struct lay_out *l, struct cashet_laid_out *out, struct keep *keep,
		 struct err *e)
{
	struct layout layout = {0};
	if (!l->source.unit_count)
		return err_set(e, ERR_NOT_FOUND,
			       "its source is not in the store any more");
	int r = place_source(l, &layout, e);
	layout = (struct layout){0};
	if (!r)
		r = place_data(l, &layout, e);
	bool python = !strcmp(l->function.language, "python");
	if (!r && python)
		r = put_file(l, "call.py", program, sizeof program - 1, e);
	if (r)
		return r;
	CLEANUP_BUF struct buf argv = {0};
	if (python) {
		bool named = l->options && *l->options->interpreter;
		buf_printf(&argv, "%s%c%s/call.py%c",
			   named ? l->options->interpreter : "python3", 0, l->dir, 0);
	} else {
		char *runner = program_of_runner("cashet-runner-c");
		buf_printf(&argv, "%s%crun%c%s%c", runner ? runner : "cashet-runner-c", 0,
			   0, l->dir, 0);
		free(runner);
	}
	return argv.failed ? handle_no_memory(e)
			   : lay_out_finish_argv(l, &argv, python ? 2 : 3, out, keep, e);
}
