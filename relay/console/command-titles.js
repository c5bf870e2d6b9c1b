/** Whether a title is a command, which is set as the output of a machine is. Pure. */

// programs that people put behind `relay run`, and that are no English words where they begin a title
const PROGRAMS = new Set(`ansible apt awk bash bazel brew bun bundle cargo cc clang cmake composer conda cp curl deno docker dotnet dvc eslint ffmpeg
  gcc gh git go gradle grep gunzip gzip helm hg hugo java javac jest jq julia kubectl ls make mkdocs mvn mypy ninja nix node npm npx nohup
  perl php pip pipx pnpm podman poetry pre-commit psql pytest python r rake ray rclone restic rg rsync ruby ruff rustc scp sed sh sleep snakemake
  sqlite3 ssh sudo swift tar terraform torchrun tox tsc uv uvicorn vite wget xargs yarn zig zsh`.split(/\s+/));
const PROGRAM = /^(?:[A-Z_]\w*=\S* )*([a-z][\w.+-]*)/; // behind variables of its environment
const PATH = /^(?:\.{0,2}\/|~\/|bin\/)[\w.+-]/;
const SCRIPT = /\.(?:sh|py|js|mjs|rb|pl)$/;
const OPTION = /\s--?[a-z]/i;

/** @param {string} title on one line */
export function isCommand(title) {
  if (PATH.test(title)) return true;
  const program = PROGRAM.exec(title)?.[1] ?? '';
  return program !== '' && (PROGRAMS.has(program) || PROGRAMS.has(program.replace(/[\d.]+$/, '')) || SCRIPT.test(program) || OPTION.test(title));
}
