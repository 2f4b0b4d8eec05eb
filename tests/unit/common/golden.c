/* The identity scheme is frozen. These bytes and hashes name work in every store there is: if one of
 * these tests fails, a change would silently lose every cache. Do not mend the vector: give the
 * new form a new scheme number and keep the old one as it is. The vectors were made by an encoder
 * of their own, written from the headers alone. */
#include "common/pure/hex.h"
#include "common/pure/sha256.h"
#include "tests/unit/common/samples.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void expect_golden(struct buf *b, const char *hash, const char *bytes)
{
	char got_bytes[4096], got_hash[HEX_DIGEST_SIZE];
	uint8_t digest[DIGEST_SIZE];
	cr_assert(!b->failed && 2 * b->size < sizeof got_bytes);
	sha256_digest(b->data, b->size, digest);
	hex_encode(got_bytes, b->data, b->size);
	cr_expect_str_eq(got_bytes, bytes);
	cr_expect_str_eq(hex_encode(got_hash, digest, DIGEST_SIZE), hash);
}

Test(golden, the_identity_scheme_is_frozen_function_of_an_argv)
{
	CLEANUP_BUF struct buf b = {0};
	function_encode(&b, sample_function());
	expect_golden(
		&b, "649cbd4aaeebcccae77c63e44e3f9166c0eb49b589cef24b4962b7a8a6d864c5",
		"8b6f6361736865742e66756e6374696f6e0167636f6d6d616e648467707974686f6e3368"
		"747261696e2e7079642d2d6c7267247b702e6c727da3614160625a5a61316f4f4d505f4e"
		"554d5f54485245414453613182626c72647365656482646261736564646174618282636c"
		"6f6769747261696e2e6c6f67826777656967687473696f75742f772e62696e6c6d657472"
		"6963732e6a736f6e616182846a6c69622f72756e2e7368f5015820101112131415161718"
		"191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f8468747261696e2e7079f40158"
		"20202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f");
}

Test(golden, the_identity_scheme_is_frozen_function_of_a_shell_string)
{
	CLEANUP_BUF struct buf b = {0};
	struct function f = {.shell = "sort | uniq -c"};
	function_encode(&b, &f);
	expect_golden(
		&b, "31aadedc12447b7fcdd4290ce71cbdd7c88664b467f939512e6ac63499e26ccf",
		"8b6f6361736865742e66756e6374696f6e0167636f6d6d616e646e736f7274207c20756e"
		"6971202d63a0808080f6f680");
}

Test(golden, the_identity_scheme_is_frozen_args)
{
	CLEANUP_BUF struct buf b = {0};
	args_encode(&b, sample_args());
	expect_golden(
		&b, "009025c6ab672909e8187fe453648532094393f307709150ee48a464041bf944",
		"830185fb3f50624dd2f1a9fc211bffffffffffffffff646164616df5828268646174612e"
		"6e707a582101404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d"
		"5e5f82826677302e62696e6677312e62696e582100000000000000000000000000000000"
		"0000000000000000000000000000000000");
}

Test(golden, the_identity_scheme_is_frozen_args_of_nothing)
{
	CLEANUP_BUF struct buf b = {0};
	struct args a = {0};
	args_encode(&b, &a);
	expect_golden(&b,
		      "8ea2c0874307e8738e7a4eeaf94514b6718339c919201e511bd004c5e3ef427b",
		      "83018080");
}

Test(golden, the_identity_scheme_is_frozen_tree)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP(content_entries_fini) struct content_entries e = {0};
	struct content file = {CONTENT_FILE, {1}}, exec = {CONTENT_EXEC, {2}},
		       dir = {CONTENT_DIR};
	memcpy(dir.digest, sha256_empty, DIGEST_SIZE);
	content_entries_add(&e, NULL, "lib/util.py", &file, 300);
	content_entries_add(&e, NULL, "run.sh", &exec, 20);
	content_entries_add(&e, NULL, "lib-old", &dir, 0);
	content_encode_tree(&b, &e);
	expect_golden(
		&b, "74e1c48bccc41e35eeaf9b5dfa975932d57bdc2cf3070b53f366aa230f1d90ff",
		"836b6361736865742e74726565018384676c69622d6f6c6407005820e3b0c44298fc1c14"
		"9afbf4c8996fb92427ae41e4649b934ca495991b7852b855846b6c69622f7574696c2e70"
		"790119012c58200100000000000000000000000000000000000000000000000000000000"
		"000000846672756e2e736802145820020000000000000000000000000000000000000000"
		"0000000000000000000000");
}

Test(golden, the_identity_scheme_is_frozen_result)
{
	CLEANUP_BUF struct buf b = {0};
	CLEANUP(content_entries_fini) struct content_entries e = {0};
	struct content file = {CONTENT_FILE, {1}}, tree = {CONTENT_TREE, {3}};
	content_entries_add(&e, "weights", "out/w.bin", &file, 70000);
	content_entries_add(&e, "plots", "out/plots", &tree, 200);
	content_encode_result(&b, &e);
	expect_golden(
		&b, "0e8d2c3b8cae69e5c9f9a0232e9b76b6317f628c388af0f000d39cc2b3aa13e3",
		"836d6361736865742e726573756c7401828565706c6f7473696f75742f706c6f74730318"
		"c85820030000000000000000000000000000000000000000000000000000000000000085"
		"6777656967687473696f75742f772e62696e011a00011170582001000000000000000000"
		"00000000000000000000000000000000000000000000");
}

Test(golden, the_identity_scheme_is_frozen_list)
{
	CLEANUP_BUF struct buf b = {0};
	struct content members[] = {{CONTENT_FILE, {1}}, {CONTENT_TREE, {2}}};
	buf_add(&b, members, sizeof members);
	expect_golden(
		&b, "3134fdcb5553bc91f167a705152f9b5b48b273bcdd4a5844fae8e2b2c9a76f78",
		"010100000000000000000000000000000000000000000000000000000000000000030200"
		"000000000000000000000000000000000000000000000000000000000000");
}

Test(golden, the_identity_scheme_is_frozen_list_of_nothing)
{
	CLEANUP_BUF struct buf b = {0};
	expect_golden(&b,
		      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		      "");
}

Test(golden, the_identity_scheme_is_frozen_commit)
{
	CLEANUP_BUF struct buf b = {0};
	commit_encode(&b, sample_commit());
	expect_golden(
		&b, "2e45bff26ad8c5fec7ac7e4df3976a2828b4df93855e97d7d6e287e17735d8a1",
		"98206d6361736865742e636f6d6d6974010065747261696e58200102030405060708090a"
		"0b0c0d0e0f101112131415161718191a1b1c1d1e1f204483018080505555555555555555"
		"55555555555555555820606162636465666768696a6b6c6d6e6f70717273747576777879"
		"7a7b7c7d7e7f582105707172737475767778797a7b7c7d7e7f808182838485868788898a"
		"8b8c8d8e8f184d5820808182838485868788898a8b8c8d8e8f909192939495969798999a"
		"9b9c9d9e9ff61903e8008284636c6f6769747261696e2e6c6f6758210101000000000000"
		"000000000000000000000000000000000000000000000000000c846177636f7574582103"
		"0200000000000000000000000000000000000000000000000000000000000000190d8082"
		"82636f7074646164616d826876616c5f6c6f7373fb3fcb67a0f9096bba2009601b000001"
		"9b76daa8001a499602d21a3b9aca00051a4000000002666e6f64652d325820aaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1b0000000300000011"
		"5820909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf0c1a"
		"00015180420801");
}

Test(golden, the_identity_scheme_is_frozen_function_by_source)
{
	CLEANUP_BUF struct buf b = {0};
	function_encode(&b, sample_call());
	expect_golden(
		&b, "3ceafefb607917d6734a0e43eeaca269d21cea596ceceb1d54167ec0bb78327d",
		"886f6361736865742e66756e6374696f6e0166707974686f6e5820303132333435363738"
		"393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f64332e3131a16f4f4d505f4e55"
		"4d5f5448524541445361316161818469646174612e6a736f6ef401582020212223242526"
		"2728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f");
}

Test(golden, the_identity_scheme_is_frozen_arguments_of_a_call)
{
	CLEANUP_BUF struct buf b = {0};
	cr_assert_eq(call_args_encode(&b, sample_call_args()), 0);
	expect_golden(
		&b, "b116fa0c7605a83e598cb167820e180944c7124e709834fc9bbf9410c124a727",
		"830288f6f521f9800062c3a94200018203582108404142434445464748494a4b4c4d4e4f"
		"505152535455565758595a5b5c5d5e5f830465612e637376582101505152535455565758"
		"595a5b5c5d5e5f606162636465666768696a6b6c6d6e6fa3626c72fb3fb999999999999a"
		"6278738301018101646f7074738202a26161f66262628202a0");
}

Test(golden, the_identity_scheme_is_frozen_source)
{
	CLEANUP_BUF struct buf b = {0};
	source_encode(&b, sample_source());
	expect_golden(
		&b, "d65eed8335d9786e776ada08278ba058ed1caea90f79bb55b41caf46eb0cbcb9",
		"846d6361736865742e736f757263650183846b6c69622f7574696c2e7079f40158200102"
		"030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20846572756e2e"
		"63f5095820090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627"
		"288468747261696e2e7079f419013a58203a3b3c3d3e3f404142434445464748494a4b4c"
		"4d4e4f50515253545556575859828866707974686f6e68747261696e2e70796574726169"
		"6e5820606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f58"
		"20707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f828365"
		"6e756d707965322e312e30f583636f6464f6f480828565747261696e6866756e6374696f"
		"6e68747261696e2e70790f5820808182838485868788898a8b8c8d8e8f90919293949596"
		"9798999a9b9c9d9e9f85654c494d4954687661726961626c656b6c69622f7574696c2e70"
		"79035820808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
		"8861636572756e2e63f65820606162636465666768696a6b6c6d6e6f7071727374757677"
		"78797a7b7c7d7e7f5820707172737475767778797a7b7c7d7e7f80818283848586878889"
		"8a8b8c8d8e8f8082632d4f33652d44583d3180");
}
