import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.IdentifierTree;
import com.sun.source.tree.ImportTree;
import com.sun.source.tree.MemberSelectTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.TreePath;
import com.sun.source.util.TreePathScanner;
import com.sun.source.util.Trees;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import javax.lang.model.element.Element;
import javax.lang.model.element.TypeElement;
import javax.tools.ToolProvider;

/**
 * The oracle of test_imports_java.py: javac attributes the sources named in a file (no annotation processing, no class
 * files, siblings by a source path, missing libraries tolerated) and this prints "from TAB to TAB import|use" for each type of another source file
 * that a file names.
 */
public class JavaUses {
  public static void main(String[] arguments) throws Exception {
    var compiler = ToolProvider.getSystemJavaCompiler();
    var files = compiler.getStandardFileManager(d -> {}, null, null);
    List<String> sources = Files.readAllLines(Path.of(arguments[0]));
    List<String> options = List.of("-proc:none", "-implicit:none", "-XDshould-stop.ifError=FLOW", "-Xmaxerrs", "1",
        "-sourcepath", arguments[1], "-classpath", "");
    var task = (JavacTask) compiler.getTask(null, files, d -> {}, options, null, files.getJavaFileObjectsFromStrings(sources));
    List<CompilationUnitTree> units = new ArrayList<>();
    task.parse().forEach(units::add);
    task.analyze();
    Trees trees = Trees.instance(task);
    var edges = new TreeSet<String>();
    for (CompilationUnitTree unit : units) new Uses(trees, unit, edges).scan(unit, null);
    edges.forEach(System.out::println);
  }

  private static class Uses extends TreePathScanner<Void, Void> {
    private final Trees trees;
    private final CompilationUnitTree unit;
    private final TreeSet<String> edges;
    private boolean importing;

    Uses(Trees trees, CompilationUnitTree unit, TreeSet<String> edges) {
      this.trees = trees;
      this.unit = unit;
      this.edges = edges;
    }

    @Override
    public Void visitImport(ImportTree tree, Void nothing) {
      importing = true;
      super.visitImport(tree, nothing);
      if (tree.isStatic() && tree.getQualifiedIdentifier() instanceof MemberSelectTree member)
        add(trees.getElement(new TreePath(new TreePath(getCurrentPath(), member), member.getExpression())));
      importing = false;
      return null;
    }

    @Override
    public Void visitIdentifier(IdentifierTree tree, Void nothing) {
      Element named = trees.getElement(getCurrentPath());
      if (named instanceof TypeElement) add(named);
      return super.visitIdentifier(tree, nothing);
    }

    @Override
    public Void visitMemberSelect(MemberSelectTree tree, Void nothing) {
      Element named = trees.getElement(getCurrentPath());
      if (named instanceof TypeElement) add(named);
      return super.visitMemberSelect(tree, nothing);
    }

    private void add(Element named) {
      if (!(named instanceof TypeElement)) return;
      TreePath path = trees.getPath(named);
      if (path == null) return;
      String from = unit.getSourceFile().getName(), to = path.getCompilationUnit().getSourceFile().getName();
      if (!from.equals(to)) edges.add(from + "\t" + to + "\t" + (importing ? "import" : "use"));
    }
  }
}
