// The wordings of the template generator. {0} is the file, {1} its purpose or a list.
#pragma once

#include <array>

namespace retrace::synth::phrases {

inline constexpr std::array<const char*, 8> kBeforeReading = {
    "Next comes {0}. Its place in the plan: {1}.",
    "I turn to {0}, which the plan describes as: {1}.",
    "The task is {0}. What it is for: {1}.",
    "Before I write {0}, I recall what the plan wants of it: {1}.",
    "{0} is next in order. The plan's line for it reads: {1}.",
    "Let me start on {0}. Its role: {1}.",
    "So, {0}. The plan sums it up as: {1}.",
    "Now it is the turn of {0}, meant as: {1}."};

inline constexpr std::array<const char*, 6> kLookFirst = {
    "It builds on {0}, so I look there before I write anything.",
    "Since it depends on {0}, I should see what is really there first.",
    "What I may call stands in {0}; I read that first.",
    "I do not want to guess at {0}: I open what I need.",
    "The names I can rely on come from {0}; a look will settle them.",
    "{0} must be in front of me before I commit to any call."};

inline constexpr std::array<const char*, 6> kWhatToLookFor = {
    "I watch for names, arguments and what is returned.",
    "What matters is the public part: which names exist and how they are called.",
    "I note signatures, not details.",
    "I look for conventions that this file should share.",
    "The point is to call what exists instead of writing it twice.",
    "I want to know what is offered, and what I have to add."};

inline constexpr std::array<const char*, 8> kBeforeWriting = {
    "Now I can write {0}: {1}.",
    "I have what I need for {0}. Its purpose: {1}.",
    "Time to write {0}. It serves this: {1}.",
    "{0} can be written now; its purpose once more: {1}.",
    "With that in mind, {0}. The plan asks for: {1}.",
    "I write {0} so that it does what the plan says: {1}.",
    "Here is how I see {0}: {1}.",
    "On to the text of {0}. What the plan wants: {1}."};

inline constexpr std::array<const char*, 4> kCanUse = {"I can use {0}.", "What I have read offers {0}.",
                                                       "At hand are {0}.", "Worth building on: {0}."};

inline constexpr std::array<const char*, 4> kNothingNeeded = {
    "The plan names no file that it depends on, so it stands on its own.",
    "It depends on no other file of the project.", "Nothing else has to exist for it.",
    "By the plan it needs none of the other files."};

inline constexpr std::array<const char*, 4> kPending = {
    "{0} comes later, because of a cycle; I keep to what the plan says of it.",
    "As {0} is not written yet, I rely on its line in the plan alone.",
    "There is a cycle with {0}, which does not exist yet.",
    "{0} cannot be read yet; the cycle was cut here."};

inline constexpr std::array<const char*, 4> kUsers = {"Later on {0} will rely on it.",
                                                      "It will be used by {0}.", "{0} will build on it.",
                                                      "I keep in mind that {0} will need it."};

inline constexpr std::array<const char*, 6> kClosing = {
    "I keep it small and in line with the rest.",
    "One thing at a time, in an order that reads well.",
    "No more than the plan asks for.",
    "I take care that names agree with what the plan and the other files say.",
    "The simple way should do.",
    "I write it in one go and keep to the plan."};

inline constexpr std::array<const char*, 4> kBrief = {
    "Please write {0}. Purpose: {1}.", "Your file is {0}: {1}.", "Write {0}, which is meant as: {1}.",
    "The next file of the plan is {0}. It is for: {1}."};

inline constexpr std::array<const char*, 4> kRequirements = {
    "The project {0} is to be built.", "What is wanted: {0}, from an empty folder to a working project.",
    "Build {0}.", "The goal is the project {0}."};

inline constexpr std::array<const char*, 4> kPlanOpening = {
    "The {0} are written dependencies first, so that each file can read what it uses.",
    "I order the {0} so that nothing is used before it exists.",
    "There are {0} to write; what others need comes before them.",
    "The order of the {0} follows the imports: first what stands alone."};

inline constexpr std::array<const char*, 4> kReview = {
    "All {0} of the plan are written.", "The plan is done: {0}.", "Every one of the {0} stands now.",
    "That completes the {0} of the plan."};

}  // namespace retrace::synth::phrases
