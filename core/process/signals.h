// SIGINT, SIGTERM: leave at the next safe point. SIGUSR1: save a checkpoint and go on.
#pragma once

namespace retrace {

void install_signal_handlers();  // a second SIGINT ends the process at once
int stop_signal();               // 0, SIGINT or SIGTERM
bool take_save_request();        // true once per SIGUSR1 (or request_save)
void request_save();
void throw_if_stopped();  // Error{interrupted} with the signal set
void die_with_parent();   // this process gets SIGKILL when its parent dies (prctl), checked for races

}  // namespace retrace
