//! What the host's sensors and the kernel say: temperatures, load, memory, disks, network.
