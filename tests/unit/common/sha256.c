/* SHA-256 and HMAC against the examples of NIST and of RFC 4231, and the two implementations
 * against each other. */
#include "common/pure/sha256.h"
#include "common/pure/hex.h"
#include "common/pure/sha256_blocks.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void expect_hex(const uint8_t digest[DIGEST_SIZE], const char *want)
{
	char hex[HEX_DIGEST_SIZE];
	cr_assert_str_eq(hex_encode(hex, digest, DIGEST_SIZE), want);
}

static void expect_digest(const char *text, const char *want)
{
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(text, strlen(text), digest);
	expect_hex(digest, want);
}

Test(sha256, gives_the_digests_of_fips_180_4)
{
	expect_digest("",
		      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	expect_digest("abc",
		      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	expect_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	expect_digest("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
		      "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
		      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

Test(sha256, gives_the_digest_of_a_million_times_a)
{
	struct sha256 s;
	uint8_t digest[DIGEST_SIZE], chunk[1000];
	memset(chunk, 'a', sizeof chunk);
	sha256_init(&s);
	for (int i = 0; i < 1000; i++)
		sha256_update(&s, chunk, sizeof chunk);
	sha256_final(&s, digest);
	expect_hex(digest,
		   "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

Test(sha256, names_the_digest_of_nothing)
{
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(NULL, 0, digest);
	cr_assert_arr_eq(digest, sha256_empty, DIGEST_SIZE);
}

Test(sha256, does_not_depend_on_how_the_data_is_cut)
{
	uint8_t data[300], whole[DIGEST_SIZE], cut[DIGEST_SIZE];
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t size = 0; size <= sizeof data; size++) {
		sha256_digest(data, size, whole);
		for (size_t step = 1; step < 140; step += 13) {
			struct sha256 s;
			sha256_init(&s);
			for (size_t at = 0; at < size; at += step)
				sha256_update(&s, data + at,
					      size - at < step ? size - at : step);
			sha256_final(&s, cut);
			cr_assert_arr_eq(whole, cut, DIGEST_SIZE, "size %zu step %zu",
					 size, step);
		}
	}
}

Test(sha256, instructions_and_portable_code_agree)
{
	if (!sha256_x86_available())
		cr_skip("this processor has no SHA instructions");
	uint8_t data[64 * 9];
	uint32_t seed = 1;
	for (int round = 0; round < 200; round++) {
		for (size_t i = 0; i < sizeof data; i++)
			data[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
		uint32_t a[8], b[8];
		for (int i = 0; i < 8; i++)
			a[i] = b[i] = seed = seed * 1664525 + 1013904223;
		size_t count = (size_t)round % 10;
		sha256_blocks_portable(a, data, count);
		sha256_blocks_x86(b, data, count);
		cr_assert_arr_eq(a, b, sizeof a, "round %d", round);
	}
}

static void expect_hmac(const void *key, size_t key_size, const void *data, size_t size,
			const char *want)
{
	uint8_t digest[DIGEST_SIZE];
	hmac_sha256(key, key_size, data, size, digest);
	expect_hex(digest, want);
}

Test(hmac_sha256, gives_the_macs_of_rfc_4231)
{
	uint8_t key[131], data[50];
	memset(key, 0x0b, 20);
	expect_hmac(key, 20, "Hi There", 8,
		    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	expect_hmac("Jefe", 4, "what do ya want for nothing?", 28,
		    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	memset(data, 0xdd, sizeof data);
	expect_hmac(key, 20, data, 50,
		    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	const char *text = "Test Using Larger Than Block-Size Key - Hash Key First";
	expect_hmac(key, 131, text, strlen(text),
		    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	text = "This is a test using a larger than block-size key and a larger than "
	       "block-size "
	       "data. The key needs to be hashed before being used by the HMAC "
	       "algorithm.";
	expect_hmac(key, 131, text, strlen(text),
		    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
	for (int i = 0; i < 25; i++)
		key[i] = (uint8_t)(i + 1);
	memset(data, 0xcd, sizeof data);
	expect_hmac(key, 25, data, 50,
		    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
}

Test(hmac_sha256, of_no_key_and_no_data)
{
	expect_hmac("", 0, "", 0,
		    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
