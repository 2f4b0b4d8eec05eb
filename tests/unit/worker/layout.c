/* What a task finds in its directory, and the cache that its inputs come from. */
#include "common/task/layout.h"

#include "common/fs.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "worker/cache.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a store in memory */

struct blob {
	uint8_t digest[DIGEST_SIZE];
	struct buf data;
};

struct rig {
	char root[64], dir[80];
	struct blob blobs[32];
	size_t count;
	unsigned gets;
	bool lie, fail;
	struct function f;
	struct args a;
	struct layout layout;
	struct layout_source source;
	struct err e;
};

static const struct blob *find(const struct rig *r, const uint8_t *digest)
{
	for (size_t i = 0; i < r->count; i++)
		if (!memcmp(r->blobs[i].digest, digest, DIGEST_SIZE))
			return &r->blobs[i];
	return NULL;
}

static struct content put_n(struct rig *r, enum content_type type, const void *data,
			    size_t size)
{
	struct content c = {.type = type};
	sha256_digest(data, size, c.digest);
	if (!find(r, c.digest)) {
		struct blob *b = &r->blobs[r->count++];
		memcpy(b->digest, c.digest, DIGEST_SIZE);
		buf_add(&b->data, data, size);
	}
	return c;
}

static struct content put(struct rig *r, enum content_type type, const char *text)
{
	return put_n(r, type, text, strlen(text));
}

static int open_blob(void *arg, const uint8_t digest[DIGEST_SIZE], int *fdp,
		     uint64_t *sizep, struct err *e)
{
	struct rig *r = arg;
	const struct blob *b = find(r, digest);
	if (!b)
		return LAYOUT_MISSING;
	char path[] = "/tmp/cashet-blob-XXXXXX";
	*fdp = mkstemp(path);
	unlink(path);
	cr_assert_eq(fs_write_all(*fdp, b->data.data, b->data.size), 0);
	lseek(*fdp, 0, SEEK_SET);
	*sizep = b->data.size;
	return LAYOUT_OK;
}

static void set_up(struct rig *r)
{
	*r = (struct rig){0};
	strcpy(r->root, "/tmp/cashet-layout-XXXXXX");
	cr_assert_not_null(mkdtemp(r->root));
	snprintf(r->dir, sizeof r->dir, "%s/task", r->root);
	cr_assert_eq(mkdir(r->dir, 0700), 0);
	r->source = (struct layout_source){r, open_blob};
	r->layout = (struct layout){
		.function = &r->f, .args = &r->a, .dir = r->dir, .source = &r->source};
}

static void tear_down(struct rig *r)
{
	layout_fini(&r->layout);
	for (size_t i = 0; i < r->count; i++)
		buf_fini(&r->blobs[i].data);
	fs_remove_tree(r->root);
}

static const char *file_at(struct rig *r, const char *path)
{
	static struct buf text;
	char full[300];
	snprintf(full, sizeof full, "%s/%s", r->dir, path);
	buf_reset(&text);
	int rc = fs_read_file(full, 1 << 20, &text);
	return rc < 0 ? strerror(-rc) : buf_cstr(&text);
}

static bool is_executable(struct rig *r, const char *path)
{
	char full[300];
	snprintf(full, sizeof full, "%s/%s", r->dir, path);
	return access(full, X_OK) == 0;
}

static struct content tree(struct rig *r)
{
	struct content_entries e = {0};
	struct content one = put(r, CONTENT_FILE, "one"),
		       two = put(r, CONTENT_EXEC, "two");
	struct content empty = {.type = CONTENT_DIR};
	memcpy(empty.digest, sha256_empty, DIGEST_SIZE);
	content_entries_add(&e, NULL, "sub/one.txt", &one, 3);
	content_entries_add(&e, NULL, "two.sh", &two, 3);
	content_entries_add(&e, NULL, "hollow", &empty, 0);
	struct buf blob = {0};
	content_encode_tree(&blob, &e);
	content_entries_fini(&e);
	struct content c = put_n(r, CONTENT_TREE, blob.data, blob.size);
	buf_fini(&blob);
	return c;
}

static struct content result(struct rig *r)
{
	struct content_entries e = {0};
	struct content weights = put(r, CONTENT_FILE, "weights"), folder = tree(r);
	content_entries_add(&e, "w", "out/weights.bin", &weights, 7);
	content_entries_add(&e, "t", "things", &folder, 3);
	struct buf blob = {0};
	content_encode_result(&blob, &e);
	content_entries_fini(&e);
	struct content c = put_n(r, CONTENT_RESULT, blob.data, blob.size);
	buf_fini(&blob);
	return c;
}

/* One input, named "in", whose files are called "name". */
static enum layout_result lay_out(struct rig *r, struct content content)
{
	static char *names[] = {"in"}, *files[] = {"name"};
	static struct args_input input;
	input = (struct args_input){.names = files, .name_count = 1, .content = content};
	r->f.inputs = names;
	r->f.input_count = 1;
	r->a.inputs = &input;
	r->a.input_count = 1;
	return layout_run(&r->layout, &r->e);
}

/* ---- layouts */

Test(layout, code_is_at_its_paths_and_folders_of_outputs_exist)
{
	struct rig r;
	set_up(&r);
	struct content train = put(&r, CONTENT_FILE, "print()"),
		       run = put(&r, CONTENT_FILE, "#!");
	struct function_code code[] = {{.path = "lib/deep/run.sh", .executable = true},
				       {.path = "train.py"}};
	memcpy(code[0].digest, run.digest, DIGEST_SIZE);
	memcpy(code[1].digest, train.digest, DIGEST_SIZE);
	struct function_pair outputs[] = {{"m", "out/a/model.bin"}, {"n", "here"}};
	r.f = (struct function){.code = code,
				.code_count = 2,
				.outputs = outputs,
				.output_count = 2,
				.metrics = "m/metrics.json"};
	cr_assert_eq(layout_run(&r.layout, &r.e), LAYOUT_OK, "%s", r.e.what);
	cr_assert_str_eq(file_at(&r, "train.py"), "print()");
	cr_assert_str_eq(file_at(&r, "lib/deep/run.sh"), "#!");
	cr_assert(is_executable(&r, "lib/deep/run.sh"));
	cr_assert_not(is_executable(&r, "train.py"));
	cr_assert(is_executable(&r, "out/a") && is_executable(&r, "m"));
	cr_assert_str_eq(file_at(&r, "here"), strerror(ENOENT));
	tear_down(&r);
}

Test(layout, an_input_file_keeps_its_name)
{
	struct rig r;
	set_up(&r);
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_FILE, "data")), LAYOUT_OK);
	cr_assert_str_eq(file_at(&r, "inputs/in/name"), "data");
	cr_assert_eq(r.layout.inputs[0].count, 1);
	cr_assert_str_eq(r.layout.inputs[0].paths[0], "inputs/in/name");
	cr_assert_not(r.layout.inputs[0].is_list);
	cr_assert_null(r.layout.inputs[0].list);
	tear_down(&r);
}

Test(layout, an_empty_executable_input)
{
	struct rig r;
	set_up(&r);
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_EXEC, "")), LAYOUT_OK);
	cr_assert_str_eq(file_at(&r, "inputs/in/name"), "");
	cr_assert(is_executable(&r, "inputs/in/name"));
	tear_down(&r);
}

Test(layout, an_input_folder_has_its_files_and_empty_folders)
{
	struct rig r;
	set_up(&r);
	cr_assert_eq(lay_out(&r, tree(&r)), LAYOUT_OK, "%s", r.e.what);
	cr_assert_str_eq(file_at(&r, "inputs/in/name/sub/one.txt"), "one");
	cr_assert_str_eq(file_at(&r, "inputs/in/name/two.sh"), "two");
	cr_assert(is_executable(&r, "inputs/in/name/two.sh"));
	cr_assert(is_executable(&r, "inputs/in/name/hollow"));
	cr_assert_str_eq(r.layout.inputs[0].paths[0], "inputs/in/name");
	tear_down(&r);
}

Test(layout, a_result_has_its_outputs_at_their_paths)
{
	struct rig r;
	set_up(&r);
	cr_assert_eq(lay_out(&r, result(&r)), LAYOUT_OK, "%s", r.e.what);
	cr_assert_str_eq(file_at(&r, "inputs/in/out/weights.bin"), "weights");
	cr_assert_str_eq(file_at(&r, "inputs/in/things/sub/one.txt"), "one");
	cr_assert_str_eq(r.layout.inputs[0].paths[0], "inputs/in");
	tear_down(&r);
}

Test(layout, a_list_numbers_its_members_and_names_them_in_a_file)
{
	struct rig r;
	set_up(&r);
	struct content members[] = {put(&r, CONTENT_FILE, "a"), result(&r), tree(&r),
				    put(&r, CONTENT_FILE, "a")};
	cr_assert_eq(lay_out(&r, put_n(&r, CONTENT_LIST, members, sizeof members)),
		     LAYOUT_OK, "%s", r.e.what);
	cr_assert_str_eq(file_at(&r, "inputs/in/000000/name"), "a");
	cr_assert_str_eq(file_at(&r, "inputs/in/000001/out/weights.bin"), "weights");
	cr_assert_str_eq(file_at(&r, "inputs/in/000002/name/sub/one.txt"), "one");
	cr_assert_str_eq(
		file_at(&r, "inputs/in.list"),
		"inputs/in/000000/name\ninputs/in/000001\ninputs/in/000002/name\n"
		"inputs/in/000003/name\n");
	cr_assert(r.layout.inputs[0].is_list);
	cr_assert_eq(r.layout.inputs[0].count, 4);
	tear_down(&r);
}

Test(layout, an_empty_list_is_an_empty_file)
{
	struct rig r;
	set_up(&r);
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_LIST, "")), LAYOUT_OK, "%s", r.e.what);
	cr_assert_str_eq(file_at(&r, "inputs/in.list"), "");
	tear_down(&r);
}

Test(layout, a_single_input_has_a_list_file_when_it_is_asked_for)
{
	struct rig r;
	set_up(&r);
	r.f.shell = (char *)(uintptr_t) "cat ${inputs.in.list}";
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_FILE, "x")), LAYOUT_OK);
	cr_assert_str_eq(file_at(&r, "inputs/in.list"), "inputs/in/name\n");
	tear_down(&r);
}

Test(layout, what_every_worker_has_is_a_link_made_last)
{
	struct rig r;
	set_up(&r);
	char data[80], target[300], full[300];
	snprintf(data, sizeof data, "%s/data", r.root);
	struct layout_extern x = {0, 0, data};
	r.layout.externs = &x;
	r.layout.extern_count = 1;
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_EXTERN, "v3")), LAYOUT_ABSENT);
	cr_assert_not_null(strstr(r.e.what, "is not on this worker"));
	tear_down(&r);

	set_up(&r);
	snprintf(data, sizeof data, "%s/data", r.root);
	r.layout.externs = &x;
	r.layout.extern_count = 1;
	cr_assert_eq(mkdir(data, 0700), 0);
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_EXTERN, "v3")), LAYOUT_OK, "%s",
		     r.e.what);
	snprintf(full, sizeof full, "%s/inputs/in/name", r.dir);
	ssize_t n = readlink(full, target, sizeof target - 1);
	cr_assert_gt(n, 0);
	target[n] = '\0';
	cr_assert_str_eq(target, data);
	tear_down(&r);

	set_up(&r);
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_EXTERN, "v3")), LAYOUT_BAD,
		     "no path was sent");
	tear_down(&r);
}

Test(layout, the_missing_blob_is_named)
{
	struct rig r;
	set_up(&r);
	struct content c = {.type = CONTENT_FILE, .digest = {1, 2, 3}};
	cr_assert_eq(lay_out(&r, c), LAYOUT_MISSING);
	cr_assert_arr_eq(r.layout.missing, c.digest, DIGEST_SIZE);
	tear_down(&r);
	set_up(&r);
	struct content t = tree(&r);
	r.blobs[0].digest[0] ^= 1; /* a file of the folder */
	cr_assert_eq(lay_out(&r, t), LAYOUT_MISSING);
	tear_down(&r);
}

Test(layout, malformed_descriptions_are_refused)
{
	struct rig r;
	static const char *const names[] = {"..", ".", "", "a/b", "/etc"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		set_up(&r);
		static char *inputs[] = {"in"};
		char *files[] = {(char *)(uintptr_t)names[i]};
		struct args_input input = {.names = files,
					   .name_count = 1,
					   .content = put(&r, CONTENT_FILE, "x")};
		r.f.inputs = inputs;
		r.f.input_count = 1;
		r.a.inputs = &input;
		r.a.input_count = 1;
		cr_assert_eq(layout_run(&r.layout, &r.e), LAYOUT_BAD, "%s", names[i]);
		tear_down(&r);
	}
	set_up(&r);
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_TREE, "not a tree")), LAYOUT_BAD);
	tear_down(&r);
	set_up(&r);
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_LIST, "not 33 bytes")), LAYOUT_BAD);
	tear_down(&r);
	set_up(&r);
	cr_assert_eq(lay_out(&r, (struct content){.type = CONTENT_NONE}), LAYOUT_BAD);
	tear_down(&r);
	set_up(&r);
	r.f.param_count = 3;
	cr_assert_eq(layout_run(&r.layout, &r.e), LAYOUT_BAD);
	r.f.param_count = 0;
	tear_down(&r);
}

Test(layout, two_things_at_one_path_are_refused)
{
	struct rig r;
	set_up(&r);
	struct content train = put(&r, CONTENT_FILE, "print()");
	struct function_code code[] = {{.path = "inputs/in/name"}};
	memcpy(code[0].digest, train.digest, DIGEST_SIZE);
	r.f.code = code;
	r.f.code_count = 1;
	cr_assert_eq(lay_out(&r, put(&r, CONTENT_FILE, "x")), LAYOUT_BAD);
	cr_assert_str_eq(r.e.what, "two things are to be laid out at inputs/in/name");
	tear_down(&r);
}

/* ---- the cache */

static int get(void *arg, const uint8_t digest[DIGEST_SIZE],
	       int (*sink)(void *, const void *, size_t), void *sink_arg, struct err *e)
{
	struct rig *r = arg;
	const struct blob *b = find(r, digest);
	r->gets++;
	if (r->fail)
		return err_set(e, ERR_UNREACHABLE, "no broker");
	if (!b)
		return err_set(e, ERR_NOT_FOUND, "missing");
	for (size_t i = 0; i < b->data.size; i++)
		if (sink(sink_arg, r->lie ? "?" : (char *)b->data.data + i, 1))
			return err_set(e, ERR_FAILED, "stopped");
	return 0;
}

struct cached {
	struct rig rig;
	struct cache *cache;
	struct cache_getter getter;
	char dir[80];
};

static void set_up_cache(struct cached *c, uint64_t max)
{
	set_up(&c->rig);
	snprintf(c->dir, sizeof c->dir, "%s/cache", c->rig.root);
	cr_assert_eq(cache_new(&c->cache, c->dir, max), 0);
	c->getter = (struct cache_getter){&c->rig, get};
}

static void tear_down_cache(struct cached *c)
{
	cache_free(c->cache);
	tear_down(&c->rig);
}

static enum cache_result take(struct cached *c, struct content content, char text[64])
{
	int fd = -1;
	uint64_t size = 0;
	enum cache_result rc =
		cache_open(c->cache, content.digest, &c->getter, &fd, &size, &c->rig.e);
	if (rc != CACHE_OK)
		return rc;
	cr_assert_eq(read(fd, text, 63), (ssize_t)size);
	text[size] = '\0';
	close(fd);
	return rc;
}

static void path_of(struct cached *c, struct content content, char *out, size_t size)
{
	size_t used = (size_t)snprintf(out, size, "%s/", c->dir);
	for (size_t i = 0; i < DIGEST_SIZE; i++)
		used += (size_t)snprintf(out + used, size - used, "%02x",
					 content.digest[i]);
}

Test(cache, downloads_once)
{
	struct cached c;
	char text[64];
	set_up_cache(&c, 1000);
	struct content a = put(&c.rig, CONTENT_FILE, "hello");
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(take(&c, a, text), CACHE_OK);
		cr_assert_str_eq(text, "hello");
	}
	cr_assert_eq(c.rig.gets, 1);
	cr_assert_eq(cache_bytes(c.cache), 5);
	struct content empty = put(&c.rig, CONTENT_FILE, "");
	cr_assert_eq(take(&c, empty, text), CACHE_OK);
	cr_assert_eq(c.rig.gets, 1, "the empty blob is everywhere");
	tear_down_cache(&c);
}

Test(cache, forgets_the_least_recently_used)
{
	struct cached c;
	char text[64];
	set_up_cache(&c, 12);
	struct content a = put(&c.rig, CONTENT_FILE, "aaaaa"),
		       b = put(&c.rig, CONTENT_FILE, "bbbbb"),
		       d = put(&c.rig, CONTENT_FILE, "ddddd");
	take(&c, a, text);
	take(&c, b, text);
	take(&c, a, text);
	take(&c, d, text);
	cr_assert_eq(cache_bytes(c.cache), 10);
	cr_assert(cache_has(c.cache, a.digest));
	cr_assert_not(cache_has(c.cache, b.digest));
	char path[200];
	path_of(&c, b, path, sizeof path);
	cr_assert_neq(access(path, F_OK), 0);
	tear_down_cache(&c);
}

Test(cache, a_blob_larger_than_the_bound_is_served_nevertheless)
{
	struct cached c;
	char text[64];
	set_up_cache(&c, 3);
	struct content a = put(&c.rig, CONTENT_FILE, "hello");
	cr_assert_eq(take(&c, a, text), CACHE_OK);
	cr_assert_str_eq(text, "hello");
	tear_down_cache(&c);
}

Test(cache, a_file_that_a_task_changed_is_downloaded_again)
{
	struct cached c;
	char text[64], path[200];
	set_up_cache(&c, 1000);
	struct content a = put(&c.rig, CONTENT_FILE, "hello");
	take(&c, a, text);
	path_of(&c, a, path, sizeof path);
	struct stat before;
	cr_assert_eq(stat(path, &before), 0);
	usleep(20000);
	chmod(path, 0600);
	int fd = open(path, O_WRONLY);
	cr_assert_eq(write(fd, "HELLO", 5), 5);
	struct timespec times[2] = {before.st_atim, before.st_mtim};
	futimens(fd, times); /* size and mtime as they were */
	close(fd);
	cr_assert_eq(take(&c, a, text), CACHE_OK);
	cr_assert_str_eq(text, "hello");
	cr_assert_eq(c.rig.gets, 2);
	unlink(path);
	cr_assert_eq(take(&c, a, text), CACHE_OK);
	cr_assert_eq(c.rig.gets, 3);
	tear_down_cache(&c);
}

Test(cache, keeps_nothing_that_is_missing_wrong_or_unreachable)
{
	struct cached c;
	char text[64];
	set_up_cache(&c, 1000);
	struct content a = put(&c.rig, CONTENT_FILE, "hello"), none = {.digest = {9}};
	cr_assert_eq(take(&c, none, text), CACHE_MISSING);
	c.rig.lie = true;
	cr_assert_eq(take(&c, a, text), CACHE_ERROR);
	c.rig.lie = false;
	c.rig.fail = true;
	cr_assert_eq(take(&c, a, text), CACHE_UNREACHABLE);
	c.rig.fail = false;
	cr_assert_eq(cache_bytes(c.cache), 0);
	cr_assert_eq(take(&c, a, text), CACHE_OK);
	tear_down_cache(&c);
}
