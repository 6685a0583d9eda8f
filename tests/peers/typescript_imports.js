// The oracle of test_imports_typescript.py: TypeScript's own parser lists what each file imports, its own resolver says
// which file that is. Arguments: the root, a file that lists the sources. Prints "from TAB to TAB hard|soft".
"use strict";
const fs = require("fs");
const { createRequire } = require("module");
const path = require("path");
const ts = require("typescript");

const root = fs.realpathSync(process.argv[2]);
const names = fs.readFileSync(process.argv[3], "utf8").split("\n").filter(Boolean);
const configs = new Map();

function optionsFor(file) {
  const found = ts.findConfigFile(path.dirname(file), ts.sys.fileExists) || "";
  const config = found.startsWith(root) ? found : "";
  if (!configs.has(config)) {
    let options = {};
    if (config) {
      const read = ts.readConfigFile(config, ts.sys.readFile);
      const host = { ...ts.sys, readDirectory: () => [] };
      options = ts.parseJsonConfigFileContent(read.config || {}, host, path.dirname(config)).options;
    }
    options.allowJs = true;
    options.resolveJsonModule = true;
    if (!options.moduleResolution || options.moduleResolution === ts.ModuleResolutionKind.Classic)
      options.moduleResolution = ts.ModuleResolutionKind.NodeJs;
    configs.set(config, options);
  }
  return configs.get(config);
}

function typeOnly(node) {
  if (ts.isImportDeclaration(node)) return !!(node.importClause && node.importClause.isTypeOnly);
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  return ts.isImportTypeNode(node);
}

function imports(source) {
  const found = [];
  const add = (literal, soft) => {
    if (literal && ts.isStringLiteralLike(literal)) found.push([literal.text, soft]);
  };
  const visit = (node, inside) => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier, typeOnly(node));
    else if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference))
      add(node.moduleReference.expression, false);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true);
    else if (ts.isCallExpression(node) && node.arguments.length > 0) {
      if (node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0], true);
      else if (ts.isIdentifier(node.expression) && node.expression.text === "require") add(node.arguments[0], inside);
    }
    const deeper = inside || ts.isFunctionLike(node) || ts.isIfStatement(node) || ts.isTryStatement(node);
    ts.forEachChild(node, (child) => visit(child, deeper));
  };
  visit(source, false);
  return found;
}

// What the compiler would write, for each package that has an outDir: made as empty files, and followed back.
const builtFrom = new Map();
for (const config of ts.sys.readDirectory(root, [".json"], ["node_modules"], ["**/tsconfig.json"])) {
  const read = ts.readConfigFile(config, ts.sys.readFile).config || {};
  const parsed = ts.parseJsonConfigFileContent(read, ts.sys, path.dirname(config), {}, config);
  if (!parsed.options.outDir || !fs.existsSync(path.join(path.dirname(config), "package.json"))) continue;
  parsed.options.declaration = true;
  for (const source of parsed.fileNames) {
    if (source.endsWith(".d.ts")) continue;
    for (const output of ts.getOutputFileNames(parsed, source, false)) {
      if (fs.existsSync(output) || !output.startsWith(root)) continue;
      builtFrom.set(path.resolve(output), path.resolve(source));
    }
  }
}
for (const output of builtFrom.keys()) {
  fs.mkdirSync(path.dirname(output), { recursive: true });
  fs.writeFileSync(output, "");
}

function resolved(target, file) {
  const options = optionsFor(file);
  for (const mode of [undefined, ts.ModuleKind.ESNext]) {
    const found = ts.resolveModuleName(target, file, options, ts.sys, undefined, undefined, mode).resolvedModule;
    if (found) return found.resolvedFileName;
  }
  // What only Node knows: files without an extension or of another kind, and a written ".ts".
  try {
    return createRequire(file).resolve(target);
  } catch (error) {
    return undefined;
  }
}

const edges = new Map();
for (const name of names) {
  const file = path.join(root, name);
  const source = ts.createSourceFile(file, fs.readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true);
  for (const [target, soft] of imports(source)) {
    const found = resolved(target, file);
    if (!found || !path.isAbsolute(found)) continue;
    const real = fs.realpathSync(found);
    const to = builtFrom.get(real) || real;
    if (!to.startsWith(root + path.sep)) continue;
    const key = name + "\t" + path.relative(root, to);
    edges.set(key, (edges.get(key) || false) || !soft);
  }
}
for (const [key, hard] of edges) console.log(key + "\t" + (hard ? "hard" : "soft"));
