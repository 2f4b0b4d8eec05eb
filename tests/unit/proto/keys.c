/* keys.c - keys and trust in files. */
#include "proto/keys.h"
#include "common/fs.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static void setup(void)
{
	strcpy(folder, "/tmp/cashet-keys-XXXXXX");
	cr_assert(mkdtemp(folder));
	setenv("CASHET_CONFIG", folder, 1);
	unsetenv("CASHET_KEY");
}

static void teardown(void)
{
	fs_remove_tree(folder);
}

TestSuite(keys, .init = setup, .fini = teardown);

static char *in_folder(const char *name)
{
	static char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	cr_assert_eq(fs_write_atomic(in_folder(name), text, strlen(text), mode), 0);
}

static unsigned mode_of(const char *name)
{
	struct stat st = {0};
	cr_assert_eq(stat(in_folder(name), &st), 0, "%s", name);
	return st.st_mode & 0777;
}

Test(keys, a_new_key_is_stored_privately_and_read_back)
{
	struct key_pair made, read;
	struct err e = {0};
	cr_assert_eq(key_new("node-1", &made, &e), 0, "%s", e.what);
	cr_assert_eq(mode_of("keys"), 0700);
	cr_assert_eq(mode_of("keys/node-1.key"), 0600);
	cr_assert_eq(key_load(in_folder("keys/node-1.key"), NULL, &read, &e), 0, "%s",
		     e.what);
	cr_assert_str_eq(read.name, "node-1");
	cr_assert_arr_eq(read.public, made.public, KEY_SIZE);
	cr_assert_arr_eq(read.secret, made.secret, KEY_SIZE);
}

Test(keys, an_existing_name_is_refused_and_keeps_its_key)
{
	struct key_pair first, second, read;
	struct err e = {0};
	cr_assert_eq(key_new("me", &first, &e), 0);
	cr_assert_eq(key_new("me", &second, &e), ERR_USAGE);
	cr_assert(strstr(e.what, "exists already"));
	cr_assert_eq(key_load(NULL, NULL, &read, &e), 0);
	cr_assert_arr_eq(read.secret, first.secret, KEY_SIZE);
}

static void *make_same(void *arg)
{
	return (void *)(intptr_t)key_new("same", arg, NULL);
}

Test(keys, of_two_that_make_one_name_at_once_one_wins)
{
	struct key_pair pairs[8];
	pthread_t threads[8];
	int won = 0;
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, make_same, &pairs[i]);
	for (int i = 0; i < 8; i++) {
		void *rc;
		pthread_join(threads[i], &rc);
		won += rc == NULL;
	}
	cr_assert_eq(won, 1);
}

Test(keys, no_public_key_looks_like_an_option)
{
	/* Z85 has '-': one pair of 85 would begin with it. */
	for (int i = 0; i < 200; i++) {
		char name[16], text[41];
		struct key_pair made;
		struct err e;
		snprintf(name, sizeof name, "k%d", i);
		cr_assert_eq(key_new(name, &made, &e), 0);
		key_z85(text, made.public);
		cr_assert_neq(text[0], '-');
	}
}

Test(keys, names_cannot_leave_the_folder)
{
	static const char *const bad[] = {"", "../x", "a/b", ".hidden", "a b", "x\n"};
	struct err e;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(key_new(bad[i], NULL, &e), ERR_USAGE, "%s", bad[i]);
}

Test(keys, a_secret_that_others_can_read_is_refused)
{
	struct key_pair pair;
	struct err e = {0};
	cr_assert_eq(key_new("me", &pair, &e), 0);
	chmod(in_folder("keys/me.key"), 0640);
	cr_assert_eq(key_load(in_folder("keys/me.key"), NULL, &pair, &e),
		     ERR_NOT_ALLOWED);
	cr_assert(strstr(e.next, "chmod 600"));
}

Test(keys, what_is_no_key_is_refused)
{
	static const char *const bad[] = {
		"",
		"hello\n",
		"cashet-secret-key 1\n",
		"cashet-secret-key 2\nname = a\npublic = x\nsecret = y\n",
		"cashet-secret-key 1\nname = a\npublic = x\nsecret = y\n",
		"cashet-secret-key 1\nname = a\npublic = "
		"0123456789012345678901234567890123456789\n"
		"secret = 0123456789012345678901234567890123456789\n",
	};
	struct key_pair pair;
	struct err e = {0};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		write_file("bad", bad[i], 0600);
		cr_expect_eq(key_load(in_folder("bad"), NULL, &pair, &e), ERR_USAGE,
			     "%zu", i);
	}
	cr_expect_eq(key_load(in_folder("none"), NULL, &pair, &e), ERR_NOT_FOUND);
	cr_expect_eq(key_load(in_folder("keys"), NULL, &pair, &e), ERR_NOT_FOUND);
}

Test(keys, the_key_is_chosen_by_file_environment_being_alone_or_fallback)
{
	struct key_pair a, b, got;
	struct err e = {0};
	cr_assert_eq(key_load(NULL, "a", &got, &e), ERR_NOT_FOUND);
	cr_assert_eq(key_new("a", &a, &e), 0);
	cr_assert_eq(key_load(NULL, NULL, &got, &e), 0);
	cr_assert_eq(key_new("b", &b, &e), 0);
	cr_assert_eq(key_load(NULL, NULL, &got, &e), ERR_USAGE);
	cr_assert_eq(key_load(NULL, "none", &got, &e), ERR_USAGE);
	cr_assert_eq(key_load(NULL, "b", &got, &e), 0);
	cr_assert_str_eq(got.name, "b");
	setenv("CASHET_KEY", "a", 1);
	cr_assert_eq(key_load(NULL, "b", &got, &e), 0);
	cr_assert_str_eq(got.name, "a");
	char path[256];
	strcpy(path, in_folder("keys/b.key"));
	setenv("CASHET_KEY", path, 1);
	cr_assert_eq(key_load(NULL, NULL, &got, &e), 0);
	cr_assert_str_eq(got.name, "b");
}

Test(keys, a_list_has_the_public_halves_sorted)
{
	struct key_trust *rows = NULL;
	size_t count = 9;
	struct key_pair pair;
	struct err e = {0};
	cr_assert_eq(key_list(&rows, &count, &e), 0);
	cr_assert_eq(count, 0);
	free(rows);
	key_new("b", NULL, &e);
	key_new("c", NULL, &e);
	key_new("a", &pair, &e);
	cr_assert_eq(key_list(&rows, &count, &e), 0);
	cr_assert_eq(count, 3);
	cr_assert_str_eq(rows[0].name, "a");
	cr_assert_arr_eq(rows[0].public, pair.public, KEY_SIZE);
	cr_assert_str_eq(rows[2].name, "c");
	free(rows);
}

static struct key_trust row(uint8_t first, enum key_role role, const char *name)
{
	struct key_trust r = {.role = role};
	memset(r.public, first, KEY_SIZE);
	strcpy(r.name, name);
	return r;
}

static size_t list(struct key_trust rows[16])
{
	struct key_trust *got = NULL;
	size_t count = 0;
	struct err e = {0};
	cr_assert_eq(key_trust_list(&got, &count, &e), 0, "%s", e.what);
	cr_assert_leq(count, 16);
	if (count)
		memcpy(rows, got, count * sizeof *rows);
	free(got);
	return count;
}

Test(keys, trust_is_added_replaced_and_removed)
{
	struct key_trust rows[16];
	struct err e = {0};
	bool found = true;
	cr_assert_eq(list(rows), 0);
	for (uint8_t i = 1; i <= 5; i++) {
		struct key_trust r = row(i, i % 2 ? ROLE_WORKER : ROLE_CLIENT, "node");
		cr_assert_eq(key_trust_add(&r, &e), 0, "%s", e.what);
	}
	cr_assert_eq(mode_of("trusted"), 0600);
	cr_assert_eq(list(rows), 5);
	struct key_trust again = row(3, ROLE_ADMIN, "boss");
	cr_assert_eq(key_trust_add(&again, &e), 0);
	cr_assert_eq(list(rows), 5);
	cr_assert_eq(rows[4].role, ROLE_ADMIN);
	cr_assert_eq(key_trust_remove(again.public, &found, &e), 0);
	cr_assert(found);
	cr_assert_eq(key_trust_remove(again.public, &found, &e), 0);
	cr_assert_not(found);
	cr_assert_eq(list(rows), 4);
}

Test(keys, brokers_are_found_by_address_then_by_star)
{
	struct key_trust a = row(1, ROLE_BROKER, "host:7410"),
			 b = row(2, ROLE_BROKER, "*"),
			 c = row(3, ROLE_BROKER, "host:7410");
	uint8_t public[KEY_SIZE];
	struct err e = {0};
	cr_assert_eq(key_find_broker("host:7410", public, &e), ERR_NOT_FOUND);
	cr_assert_eq(key_trust_add(&a, &e), 0);
	cr_assert_eq(key_find_broker("host:7410", public, &e), 0);
	cr_assert_eq(public[0], 1);
	cr_assert_eq(key_find_broker("other:7410", public, &e), ERR_NOT_FOUND);
	cr_assert_eq(key_trust_add(&b, &e), 0);
	cr_assert_eq(key_find_broker("other:7410", public, &e), 0);
	cr_assert_eq(public[0], 2);
	cr_assert_eq(key_trust_add(&c, &e), 0); /* the address has a new key */
	cr_assert_eq(key_find_broker("host:7410", public, &e), 0);
	cr_assert_eq(public[0], 3);
}

Test(keys, comments_stay_and_bad_lines_trust_nobody)
{
	struct key_trust r = row(9, ROLE_WORKER, "w"), *rows = NULL;
	char z85[41], text[512];
	size_t count = 0;
	struct err e = {0};
	key_z85(z85, r.public);
	snprintf(text, sizeof text,
		 "# who may come\n\n%s worker w\n%s king k\nnonsense\n%s worker\n", z85,
		 z85, z85);
	write_file("trusted", text, 0600);
	cr_assert_eq(key_trust_list(&rows, &count, &e), ERR_USAGE);
	cr_assert(strstr(e.what, "trusted:4"), "%s", e.what);
	cr_assert_eq(count, 1);
	free(rows);
	struct key_trust other = row(8, ROLE_CLIENT, "c");
	cr_assert_eq(key_trust_add(&other, &e), 0);
	struct buf now = {0};
	cr_assert_eq(fs_read_file(in_folder("trusted"), 4096, &now), 0);
	cr_assert(strstr(buf_cstr(&now), "# who may come\n\n"));
	cr_assert(strstr(buf_cstr(&now), "nonsense\n"));
	buf_fini(&now);
}

Test(keys, rows_with_spaces_or_without_role_are_refused)
{
	struct key_trust r = row(1, ROLE_CLIENT, "two words");
	struct err e = {0};
	cr_assert_eq(key_trust_add(&r, &e), ERR_USAGE);
	r = row(1, ROLE_CLIENT, "line\nbreak");
	cr_assert_eq(key_trust_add(&r, &e), ERR_USAGE);
	r = row(1, ROLE_NONE, "x");
	cr_assert_eq(key_trust_add(&r, &e), ERR_USAGE);
}

static void *add_rows(void *arg)
{
	for (uint8_t i = 0; i < 5; i++) {
		struct key_trust r =
			row((uint8_t)(10 * (intptr_t)arg + i), ROLE_CLIENT, "x");
		cr_assert_eq(key_trust_add(&r, NULL), 0);
	}
	return NULL;
}

Test(keys, rows_added_at_the_same_time_are_all_there)
{
	pthread_t threads[3];
	struct key_trust rows[16];
	for (intptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, add_rows, (void *)(i + 1));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(list(rows), 15);
}

Test(keys, z85_and_roles_are_read_back)
{
	uint8_t key[KEY_SIZE] = {1, 2, 3}, back[KEY_SIZE];
	char z85[41];
	key_z85(z85, key);
	cr_assert_eq(key_parse_z85(back, z85), 0);
	cr_assert_arr_eq(key, back, KEY_SIZE);
	cr_assert_eq(key_parse_z85(back, ""), 1);
	cr_assert_eq(key_parse_z85(back, "0123456789"), 1);
	cr_assert_eq(key_parse_z85(back, "~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~"), 1);
	for (int role = ROLE_CLIENT; role <= ROLE_BROKER; role++) {
		enum key_role got;
		cr_assert_eq(key_role_parse(key_role_name((enum key_role)role), &got), 0);
		cr_assert_eq((int)got, role);
	}
	enum key_role got;
	cr_assert_eq(key_role_parse("none", &got), 1);
	cr_assert_eq(key_role_parse("Client", &got), 1);
}
