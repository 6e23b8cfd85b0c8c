/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the dispatchers have in common: ten functions, each of which a member may replace (freplace), called one after the
 * other. A dispatcher defines before it uses this:
 *
 *   CONTEXT               what its programs are called with
 *   NO_CONTEXT            the verdict of a function that was called with none
 *   RETURN_OF_EMPTY_SLOT  what a function returns that nothing replaces
 *   PASSED                the verdict of a packet that all members let go on
 *   MASK_OF(verdict)      its bit in the mask of a slot
 *   CONFIG                its configuration, with num_progs_enabled and chain_call_actions
 */

#pragma once

#define SLOTS 10

/* A function of its own, which the compiler may neither inline nor think it knows. */
#define FUNCTION(name)                                    \
	__attribute__((noinline)) int name(CONTEXT *ctx) \
	{                                                 \
		volatile int ret = RETURN_OF_EMPTY_SLOT;  \
                                                          \
		if (!ctx)                                 \
			return NO_CONTEXT;                \
		return ret;                               \
	}

#define CALL(slot)                                                    \
	do {                                                          \
		if (CONFIG.num_progs_enabled < slot + 1)              \
			return PASSED;                                \
		ret = prog##slot(ctx);                                \
		if (!(MASK_OF(ret) & CONFIG.chain_call_actions[slot])) \
			return ret;                                   \
	} while (0)

/* compat_test is where libxdp tries whether the kernel can do all this. */
#define FUNCTIONS             \
	FUNCTION(prog0)       \
	FUNCTION(prog1)       \
	FUNCTION(prog2)       \
	FUNCTION(prog3)       \
	FUNCTION(prog4)       \
	FUNCTION(prog5)       \
	FUNCTION(prog6)       \
	FUNCTION(prog7)       \
	FUNCTION(prog8)       \
	FUNCTION(prog9)       \
	FUNCTION(compat_test)

#define CALL_ALL                                          \
	do {                                              \
		int ret;                                  \
                                                          \
		CALL(0);                                  \
		CALL(1);                                  \
		CALL(2);                                  \
		CALL(3);                                  \
		CALL(4);                                  \
		CALL(5);                                  \
		CALL(6);                                  \
		CALL(7);                                  \
		CALL(8);                                  \
		CALL(9);                                  \
		if (CONFIG.num_progs_enabled < SLOTS + 1) \
			return PASSED;                    \
		ret = compat_test(ctx);                   \
		return PASSED;                            \
	} while (0)
