/** Reads one at a time: whether one is under way, and whether the last one failed. */
export class OneRead {
  #loading = false;
  #failed = false;

  get loading() {
    return this.#loading;
  }

  /** What failed is left to its caller, which tries again later. */
  get failed() {
    return this.#failed;
  }

  /** Reads, unless a read is under way. @param {() => Promise<void>} read @returns {Promise<boolean>} whether it was read, or tried */
  async begin(read) {
    if (this.#loading) return false;
    this.#loading = true;
    try {
      await read();
      this.#failed = false;
    } catch {
      this.#failed = true;
    } finally {
      this.#loading = false;
    }
    return true;
  }
}
